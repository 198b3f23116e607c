"""What a rule would have read before: range queries that are bounded, within a deadline, and refused in words."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
import threading
import time

import pytest

from guard.errors import Refused, WorldError
from guard.poll.prometheus import Line, connect
from guard.poll.prometheus_history import SAMPLES, PrometheusHistory
from guard.poll.web import ANYBODY, Access
from guard.ports import History
from tests.fakes import make_rule
from tests.fix_http import Endpoint, answer, prometheus
from tests.waiting import wait_for
from tests.web import DEADLINE, SLACK, vector

RULE = dataclasses.replace(make_rule(), name="p99", metric="prometheus", query="up", scale=0.001)


def history(endpoint: Endpoint, *, within: float = DEADLINE, access: Access = ANYBODY, **more: object) -> History:
    def line(deadline: float) -> Line:
        return connect(endpoint.url, deadline=deadline, access=access)

    return PrometheusHistory(dataclasses.replace(RULE, **more), line, within=within)  # type: ignore[arg-type]


def samples(past: History, since: float, until: float) -> list[tuple[float, float]]:
    return list(asyncio.run(past.samples(since, until)))


def matrix(*series: list[tuple[float, str]]) -> bytes:
    return prometheus([{"metric": {}, "values": values} for values in series], kind="matrix")


def test_it_is_the_series_as_the_rule_reads_it_without_what_is_not_finite(endpoint: Endpoint) -> None:
    endpoint.reply = matrix([(100, "250"), (110, "NaN"), (120, "+Inf"), (130, "500")])
    assert samples(history(endpoint), 100, 1900) == [(100.0, 0.25), (130.0, 0.5)]
    assert endpoint.requests[0].startswith("GET /api/v1/query_range?query=up&start=100&end=1900&step=10 ")


def test_it_asks_for_as_many_moments_as_a_baseline_needs_however_long_the_time(endpoint: Endpoint) -> None:
    endpoint.reply = matrix([(1, "1")])
    for seconds, step in ((1800, 1800 / SAMPLES), (60, 1 / 3), (0, 0.05), (7 * 86_400, 3360)):
        samples(history(endpoint), 1e9, 1e9 + seconds)
        assert f"&step={step:g} " in endpoint.requests[-1]


def test_what_was_measured_with_too_little_traffic_is_left_out(endpoint: Endpoint) -> None:
    def reply(client: socket.socket) -> None:
        busy = "query=traffic&" in endpoint.requests[-1]
        values = [(1.001, "0.5"), (2.001, "1"), (4.001, "9")] if busy else [(n + 0.001, "7") for n in range(1, 5)]
        client.sendall(matrix(values))

    endpoint.reply = reply
    past = history(endpoint, traffic="traffic", min_traffic=1.0, scale=1.0)
    assert samples(past, 1.001, 4.001) == [(2.001, 7.0), (4.001, 7.0)]
    endpoint.reply = lambda client: client.sendall(matrix([(1, "7")]) if "=up&" in endpoint.requests[-1] else matrix())
    with pytest.raises(Refused, match=r"^traffic: the query gives no series$"):
        samples(past, 1, 4)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (matrix(), "no series"),
        (matrix([(1, "1")], [(1, "1")]), "2 series"),
        (vector("1"), "a vector, not a range"),
        (prometheus([{"metric": {}}], kind="matrix"), "not a range"),
        (answer(b"{}", status=503), "HTTP 503"),
        (answer(b"no"), "not JSON"),
    ],
    ids=["no series", "two series", "a vector", "no values", "503", "no JSON"],
)
def test_what_is_no_history_is_refused_in_words(endpoint: Endpoint, reply: bytes, reason: str) -> None:
    endpoint.reply = reply
    with pytest.raises(Refused, match=reason):
        samples(history(endpoint), 100, 130)


@pytest.mark.parametrize("times", [(0, 2000, 1), (0, 10, 0), (10, 0, 1), (0, 10, -1), (0, float("inf"), 1)])
def test_a_question_is_bounded_before_anybody_is_asked(endpoint: Endpoint, times: tuple[float, float, float]) -> None:
    past = history(endpoint)
    assert isinstance(past, PrometheusHistory)
    with pytest.raises(Refused, match="from 1 to 2000 steps"):
        asyncio.run(past.range(*times))
    assert endpoint.requests == []


def test_what_fits_the_bound_fits_the_answer_too(endpoint: Endpoint) -> None:
    endpoint.reply = matrix([(1_700_000_000.123 + n, "0.12345678901234567") for n in range(2000)])
    assert len(json.dumps(endpoint.reply.decode())) < 200_000
    assert len(samples(history(endpoint), 0, 1999)) == 2000


@pytest.mark.fault(45)
def test_it_has_a_deadline_and_leaves_no_thread_behind(endpoint: Endpoint) -> None:
    endpoint.reply = endpoint.drip
    since = time.monotonic()
    with pytest.raises(Refused, match=f"^no answer within {DEADLINE / 2:g} s$"):
        samples(history(endpoint, within=DEADLINE / 2), 100, 130)
    assert time.monotonic() - since < DEADLINE / 2 + SLACK
    named = "history:p99"
    wait_for(lambda: named not in {each.name for each in threading.enumerate()}, within=DEADLINE + 5, message=named)


def test_a_credential_that_cannot_be_had_is_a_refusal_and_is_not_repeated(endpoint: Endpoint) -> None:
    def credentials() -> dict[str, str]:
        raise WorldError("token cannot be read.")

    with pytest.raises(Refused, match=r"^token cannot be read$"):
        samples(history(endpoint, access=Access(credentials=credentials)), 100, 130)
    endpoint.shut()
    with pytest.raises(Refused, match=r"^connection refused$"):
        samples(history(endpoint, access=Access({"Authorization": "CANARY"})), 100, 130)
