"""Prometheus and HTTP endpoints: a number, or a silence with a reason, within the deadline, whatever they answer."""

import asyncio
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from guard.model import Reading, Sample, Silence
from guard.poll.http import HttpProbe, number
from guard.poll.lone import Busy, Lone
from guard.poll.prometheus import PrometheusProbe, connect
from guard.poll.web import Refused
from guard.ports import Probe
from tests.fix_http import Endpoint, answer, prometheus

DEADLINE = 1.0
SLACK = 0.6  # seconds that a busy machine may add


def http(endpoint: Endpoint, **more: Any) -> HttpProbe:
    return HttpProbe("p99", endpoint.url + "/secret/path", json_path="a.b", deadline=DEADLINE, **more)


def prom(endpoint: Endpoint, **more: Any) -> PrometheusProbe:
    return PrometheusProbe("errors", "up", connect(endpoint.url, deadline=DEADLINE, **more), deadline=DEADLINE)


def ask(probe: Probe) -> Sample:
    async def once() -> Sample:
        start = time.monotonic()
        (sample,) = (await probe.poll()).samples
        assert time.monotonic() - start < DEADLINE + SLACK
        await probe.close()
        return sample

    return asyncio.run(once())


def why(probe: Probe) -> str:
    sample = ask(probe)
    assert isinstance(sample, Silence), sample
    assert "secret" not in sample.why
    return sample.why


def vector(*values: str, at: float | None = None) -> bytes:
    stamp = time.time() if at is None else at
    return prometheus([{"metric": {"n": str(n)}, "value": [stamp, value]} for n, value in enumerate(values)])


PROBES = pytest.mark.parametrize("build", [http, prom])


# -- what a good answer gives ------------------------------------------------------------------------


def test_an_answer_in_milliseconds_is_a_reading_in_seconds(endpoint: Endpoint) -> None:
    endpoint.reply = answer(b'{"a": {"b": 250}}')
    sample = ask(http(endpoint, scale=0.001))
    assert isinstance(sample, Reading)
    assert sample.value == pytest.approx(0.25)


def test_a_query_that_gives_percent_is_a_reading_of_a_ratio(endpoint: Endpoint) -> None:
    endpoint.reply = vector("5")
    line = connect(endpoint.url, deadline=DEADLINE)
    sample = ask(PrometheusProbe("errors", "up", line, scale=0.01, deadline=DEADLINE))
    assert isinstance(sample, Reading)
    assert sample.value == pytest.approx(0.05)


@pytest.mark.parametrize(("text", "value"), [("0.25", 0.25), ("+Inf", float("inf")), ("-3e2", -300.0)])
def test_the_one_series_is_the_reading_and_infinity_is_a_value(endpoint: Endpoint, text: str, value: float) -> None:
    endpoint.reply = vector(text)
    sample = ask(prom(endpoint))
    assert isinstance(sample, Reading)
    assert (sample.sensor, sample.value) == ("prometheus:errors", value)
    assert endpoint.requests[0].startswith("GET /api/v1/query?query=up ")


def test_the_number_at_the_path_is_the_reading(endpoint: Endpoint) -> None:
    endpoint.reply = answer(b'{"a": {"b": 0.25}}')
    sample = ask(http(endpoint))
    assert isinstance(sample, Reading)
    assert (sample.sensor, sample.value) == ("http:p99", 0.25)


@PROBES
def test_authorisation_is_sent(endpoint: Endpoint, build: Callable[..., Probe]) -> None:
    ask(build(endpoint, headers={"Authorization": "Bearer secret"}))
    assert "authorization: bearer secret" in endpoint.requests[0].lower()


# -- the endpoint is down ----------------------------------------------------------------------------


@PROBES
def test_a_refused_connection_is_silence_at_once(endpoint: Endpoint, build: Callable[..., Probe]) -> None:
    endpoint.close()
    start = time.monotonic()
    assert "connection refused" in why(build(endpoint))
    assert time.monotonic() - start < SLACK


@pytest.mark.parametrize(
    "probe",
    [
        lambda: HttpProbe("p99", "http://no.such.host.invalid/secret", deadline=DEADLINE),
        lambda: PrometheusProbe("e", "up", connect("http://no.such.host.invalid/secret"), deadline=DEADLINE),
    ],
)
def test_a_name_that_cannot_be_resolved_is_silence(probe: Callable[[], Probe]) -> None:
    assert why(probe()).endswith(("its name cannot be resolved", "no answer in time"))


@PROBES
def test_a_failed_tls_handshake_is_silence(endpoint: Endpoint, build: Callable[..., Probe]) -> None:
    endpoint.url = endpoint.url.replace("http:", "https:")
    assert "TLS failed" in why(build(endpoint))


@PROBES
@pytest.mark.parametrize("status", [204, 401, 403, 404, 429, 500, 503, 599])
def test_any_other_status_than_200_is_silence(endpoint: Endpoint, build: Callable[..., Probe], status: int) -> None:
    endpoint.reply = answer(b'{"a": {"b": 1}}', status=status)
    assert f"HTTP {status}" in why(build(endpoint))
    assert len(endpoint.requests) == 1  # no retries


# -- slow, endless, torn -----------------------------------------------------------------------------


@PROBES
@pytest.mark.parametrize("manner", ["hang", "drip", "drip_head"])
def test_an_answer_that_takes_too_long_costs_its_deadline_each_time(
    endpoint: Endpoint, build: Callable[..., Probe], manner: str
) -> None:
    endpoint.reply = getattr(endpoint, manner)
    probe = build(endpoint)

    async def twice() -> list[str]:
        found = []
        for _ in range(2):
            start = time.monotonic()
            (sample,) = (await probe.poll()).samples
            assert time.monotonic() - start < DEADLINE + SLACK
            assert isinstance(sample, Silence)
            found.append(sample.why)
        return found

    first, second = asyncio.run(twice())
    assert first.endswith("no answer in time")
    assert second.endswith(("still waiting for the previous answer", "no answer in time"))
    endpoint.released.set()
    asyncio.run(probe.close())


@PROBES
@pytest.mark.parametrize("manner", ["hang", "drip", "drip_head"])
def test_a_probe_recovers_at_once_though_its_old_answer_drips_on(
    endpoint: Endpoint, build: Callable[..., Probe], manner: str
) -> None:
    endpoint.reply = getattr(endpoint, manner)
    probe = build(endpoint)
    good = answer(b'{"a": {"b": 1}}') if build is http else vector("1")

    async def recover() -> None:
        await probe.poll()
        endpoint.reply = good
        end = time.monotonic() + 1
        while not isinstance((await probe.poll()).samples[0], Reading):
            assert time.monotonic() < end
            await asyncio.sleep(0.02)
        await probe.close()

    asyncio.run(recover())


def torn(client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


@PROBES
@pytest.mark.parametrize("script", [torn, reset])
def test_a_connection_that_breaks_is_silence(
    endpoint: Endpoint, build: Callable[..., Probe], script: Callable[[socket.socket], None]
) -> None:
    endpoint.reply = script
    assert why(build(endpoint))


# -- hostile and odd bodies --------------------------------------------------------------------------


@PROBES
@pytest.mark.parametrize(
    "body",
    [
        b"<html>sign in</html>",
        b"",
        b'{"a": {"b": ',
        b"[" * 100_000,
        b'{"a": {"b": ' + b"9" * 5000 + b"}}",
        b'{"a": {"b": NaN}}',
        b'{"a": {"b": Infinity}}',
        b"\xff\xfe\x00",
    ],
    ids=["html", "empty", "truncated", "deep", "5000 digits", "NaN", "Infinity", "not text"],
)
def test_what_is_not_json_is_silence(endpoint: Endpoint, build: Callable[..., Probe], body: bytes) -> None:
    endpoint.reply = answer(body)
    assert why(build(endpoint)).endswith("the answer is not JSON")


@PROBES
def test_a_huge_answer_is_cut_off(endpoint: Endpoint, build: Callable[..., Probe]) -> None:
    sent = 0

    def flood(client: socket.socket) -> None:
        nonlocal sent
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sent += client.send(b" " * 65536)

    endpoint.reply = flood
    assert "larger than 1000 kB" in why(build(endpoint))
    assert sent < 20_000_000


@PROBES
def test_a_compressed_answer_is_not_unpacked(endpoint: Endpoint, build: Callable[..., Probe]) -> None:
    endpoint.reply = answer(gzip.compress(b" " * 50_000_000), headers="Content-Encoding: gzip\r\n")
    assert "compressed" in why(build(endpoint))
    assert "accept-encoding: identity" in endpoint.requests[0].lower()


@PROBES
def test_a_redirect_is_not_followed_and_nothing_secret_goes_there(
    make_endpoint: Callable[[], Endpoint], build: Callable[..., Probe]
) -> None:
    first, second = make_endpoint(), make_endpoint()
    first.reply = answer(b"", status=302, headers=f"Location: {second.url}/\r\n")
    assert "redirect" in why(build(first, headers={"Authorization": "Bearer secret"}))
    assert second.requests == []


@PROBES
def test_proxies_of_the_environment_are_not_used(
    make_endpoint: Callable[[], Endpoint], build: Callable[..., Probe], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, proxy = make_endpoint(), make_endpoint()
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("http_proxy", proxy.url)
    ask(build(real))
    assert (len(real.requests), proxy.requests) == (1, [])


# -- what Prometheus may answer ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        pytest.param(prometheus([]), "no series", id="empty"),
        pytest.param(vector("NaN"), "NaN", id="NaN"),
        pytest.param(vector("1", "2"), "2 series", id="many series"),
        pytest.param(prometheus([1.0, "1"], kind="scalar"), "a scalar", id="scalar"),
        pytest.param(prometheus([1.0, "x"], kind="string"), "a string", id="string"),
        pytest.param(prometheus([{"metric": {}, "values": []}], kind="matrix"), "a matrix", id="matrix"),
        pytest.param(prometheus([{"metric": {}, "values": []}]), "not an instant vector", id="lying"),
        pytest.param(prometheus([{"value": ["Infinity", "1"]}]), "not an instant vector", id="no time"),
        pytest.param(prometheus({}), "not one of Prometheus", id="no list"),
        pytest.param(answer(b"[1]"), "not one of Prometheus", id="a list"),
        pytest.param(answer(b'{"status": "success"}'), "not one of Prometheus", id="no data"),
        pytest.param(
            answer(b'{"status": "error", "errorType": "bad_data", "error": "parse error"}', status=400),
            "bad_data: parse error",
            id="a wrong query",
        ),
        pytest.param(
            answer(b'{"status": "error", "errorType": "timeout", "error": "too slow"}'), "too slow", id="error with 200"
        ),
        pytest.param(answer(b"nothing", status=422), "not JSON", id="422 of something else"),
    ],
)
def test_what_is_no_single_number_is_silence(endpoint: Endpoint, reply: bytes, reason: str) -> None:
    endpoint.reply = reply
    assert reason in why(prom(endpoint))


def test_an_old_sample_is_silence_whatever_clock_this_machine_has(endpoint: Endpoint) -> None:
    sent = float(int(time.time()) - 7200)  # dates of HTTP have whole seconds
    endpoint.reply = prometheus([{"metric": {}, "value": [sent - 90, "1"]}], date=sent)
    assert "the sample is 89 s old" in why(prom(endpoint))
    endpoint.reply = prometheus([{"metric": {}, "value": [sent, "1"]}], date=sent)
    assert isinstance(ask(prom(endpoint)), Reading)


# -- what an endpoint may answer ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "path", "reason"),
    [
        ({"a": True}, "a", "no number"),
        ({"a": "5"}, "a", "no number"),
        ({"a": None}, "a", "no number"),
        ({"a": {"b": 1}}, "a", "no number"),
        ({"a": 1}, "b", "nothing at b"),
        ({"a": [1]}, "a.1", "nothing at a.1"),
        ({"a": [1]}, "a.x", "nothing at a.x"),
        ({"a": 1}, "a.b", "nothing at a.b"),
        ({"a": 1e999}, "a", "no finite number"),
        ({"a": 10**400}, "a", "no finite number"),
        ([1], "", "no number"),
    ],
)
def test_only_a_finite_number_is_a_number(document: object, path: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        number(document, path)


def test_a_path_leads_through_objects_and_lists() -> None:
    assert number(json.loads('{"a": [{"b": 7}]}'), "a.0.b") == 7.0
    assert number(7, "") == 7.0


# -- the thread of one's own -------------------------------------------------------------------------


def test_while_work_is_on_its_way_nothing_more_is_begun() -> None:
    go = threading.Event()
    lone = Lone("t")

    async def use() -> None:
        with pytest.raises(TimeoutError):
            await lone.run(lambda: go.wait(10), 0.05)
        with pytest.raises(Busy):
            await lone.run(lambda: 1, 1.0)
        go.set()
        end = time.monotonic() + 5
        while True:
            try:
                assert await lone.run(lambda: 2, 1.0) == 2
                break
            except Busy:
                assert time.monotonic() < end
                await asyncio.sleep(0.01)

    asyncio.run(use())
    lone.close()
    lone.close()
