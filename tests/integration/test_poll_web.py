"""Prometheus and HTTP endpoints that are down or slow: a silence with a reason, within the deadline."""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable

import pytest

from guard.model import Reading, Silence
from guard.poll.http import HttpProbe
from guard.poll.lone import Busy, Lone
from guard.poll.prometheus import PrometheusProbe, connect
from guard.poll.web import Access
from guard.ports import Probe
from tests.fix_http import Endpoint, answer
from tests.fix_matrix import Took
from tests.web import DEADLINE, PROBES, SLACK, ask, http, prom, vector, why

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


@pytest.mark.fault(47)
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
    ask(build(endpoint, Access({"Authorization": "Bearer secret"})))
    assert "authorization: bearer secret" in endpoint.requests[0].lower()


# -- the endpoint is down ----------------------------------------------------------------------------


@pytest.mark.fault(44)
@PROBES
def test_a_refused_connection_is_silence_at_once(endpoint: Endpoint, build: Callable[..., Probe]) -> None:
    endpoint.close()
    start = time.monotonic()
    assert "connection refused" in why(build(endpoint))
    assert time.monotonic() - start < SLACK


@pytest.mark.fault(44)
@pytest.mark.parametrize(
    "probe",
    [
        lambda: HttpProbe("p99", "http://no.such.host.invalid/secret", deadline=DEADLINE),
        lambda: PrometheusProbe("e", "up", connect("http://no.such.host.invalid/secret"), deadline=DEADLINE),
    ],
)
def test_a_name_that_cannot_be_resolved_is_silence(probe: Callable[[], Probe]) -> None:
    assert why(probe()).endswith(("its name cannot be resolved", "no answer in time"))


@pytest.mark.fault(44)
@PROBES
@pytest.mark.parametrize("kind", ["plain", "self-signed"])
def test_a_failed_tls_handshake_is_silence(
    endpoint: Endpoint, self_signed: ssl.SSLContext, build: Callable[..., Probe], kind: str
) -> None:
    endpoint.url = endpoint.url.replace("http:", "https:")
    endpoint.tls = self_signed if kind == "self-signed" else None
    assert f"TLS failed: {'self-signed certificate' if kind == 'self-signed' else ''}" in why(build(endpoint))
    assert [request for request in endpoint.requests if "secret" in request] == []


@pytest.mark.fault(44, 46)
@PROBES
@pytest.mark.parametrize("status", [204, 401, 403, 404, 429, 500, 503, 599])
def test_any_other_status_than_200_is_silence(endpoint: Endpoint, build: Callable[..., Probe], status: int) -> None:
    endpoint.reply = answer(b'{"a": {"b": 1}}', status=status)
    assert f"HTTP {status}" in why(build(endpoint))
    assert len(endpoint.requests) == 1  # no retries


# -- slow, endless, torn -----------------------------------------------------------------------------


@pytest.mark.fault(45)
@PROBES
@pytest.mark.parametrize("manner", ["hang", "drip", "drip_head"])
def test_an_answer_that_takes_too_long_costs_its_deadline_each_time(
    endpoint: Endpoint, build: Callable[..., Probe], manner: str, took: Took
) -> None:
    endpoint.reply = getattr(endpoint, manner)
    probe = build(endpoint)

    async def twice() -> list[str]:
        found = []
        for _ in range(2):
            with took.within(DEADLINE + SLACK):
                (sample,) = (await probe.poll()).samples
            assert isinstance(sample, Silence)
            found.append(sample.why)
        return found

    first, second = asyncio.run(twice())
    assert first.endswith("no answer in time")
    assert second.endswith(("still waiting for the previous answer", "no answer in time"))
    endpoint.released.set()
    asyncio.run(probe.close())


@pytest.mark.fault(45)
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


@pytest.mark.fault(45, 46)
@PROBES
@pytest.mark.parametrize("script", [torn, reset])
def test_a_connection_that_breaks_is_silence(
    endpoint: Endpoint, build: Callable[..., Probe], script: Callable[[socket.socket], None]
) -> None:
    endpoint.reply = script
    assert why(build(endpoint))


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
