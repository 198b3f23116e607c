"""Who asks an application's source, whom TLS trusts there, and what it said before: by sockets."""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from guard.errors import WorldError
from guard.model import Reading, Silence
from guard.poll.prometheus import Traffic
from guard.poll.web import Access
from guard.ports import Probe
from tests.fix_http import Endpoint, answer, prometheus
from tests.web import DEADLINE, PROBES, ask, http, prom, vector, why


def good(build: Callable[..., Probe]) -> bytes:
    return answer(b'{"a": {"b": 1}}') if build is http else vector("1")


@PROBES
def test_credentials_are_read_before_each_request_and_go_beside_the_headers(
    endpoint: Endpoint, build: Callable[..., Probe]
) -> None:
    tokens = iter("12")
    endpoint.reply = good(build)
    probe = build(endpoint, Access({"X-Scope-OrgID": "shop"}, lambda: {"Authorization": f"Bearer {next(tokens)}"}))

    async def twice() -> None:
        for _ in range(2):
            assert isinstance((await probe.poll()).samples[0], Reading)
        await probe.close()

    asyncio.run(twice())
    for request, token in zip(endpoint.requests, "12", strict=True):
        assert f"authorization: bearer {token}" in request.lower()
        assert "x-scope-orgid: shop" in request.lower()


@PROBES
def test_a_credential_that_cannot_be_had_is_silence_and_nobody_is_asked(
    endpoint: Endpoint, build: Callable[..., Probe]
) -> None:
    def none() -> dict[str, str]:
        raise WorldError("/etc/token cannot be read: No such file or directory.")

    assert why(build(endpoint, Access(credentials=none))).endswith(
        "/etc/token cannot be read: No such file or directory"
    )
    assert endpoint.requests == []


@PROBES
def test_whoever_the_ca_file_vouches_for_is_trusted(
    endpoint: Endpoint, self_signed: ssl.SSLContext, build: Callable[..., Probe], tmp_path: Path
) -> None:
    endpoint.url = endpoint.url.replace("http:", "https:")
    endpoint.tls = self_signed
    endpoint.reply = good(build)
    assert isinstance(ask(build(endpoint, Access(ca_file=str(tmp_path / "server.crt")))), Reading)
    # By this name nobody has vouched for it.
    endpoint.url = endpoint.url.replace("127.0.0.1", "localhost")
    assert "TLS failed" in why(build(endpoint, Access(ca_file=str(tmp_path / "server.crt"))))


@PROBES
@pytest.mark.parametrize(("text", "words"), [(None, "cannot be read: No such file"), ("x", "holds no certificate")])
def test_a_ca_file_that_is_none_is_silence(
    endpoint: Endpoint, build: Callable[..., Probe], tmp_path: Path, text: str | None, words: str
) -> None:
    file = tmp_path / "ca.pem"
    if text is not None:
        file.write_text(text)
    endpoint.url = endpoint.url.replace("http:", "https:")
    assert f"{file} {words}" in why(build(endpoint, Access(ca_file=str(file))))
    assert endpoint.requests == []


# -- too little to go by ---------------------------------------------------------------------------------------------


def by_query(endpoint: Endpoint, **answers: bytes) -> None:
    """Answer each query by its own name, whatever else is asked meanwhile."""

    def reply(client: socket.socket) -> None:
        name = endpoint.requests[-1].split("query=")[1].split()[0]
        client.sendall(answers[name])

    endpoint.reply = reply


LITTLE = Traffic("traffic", 1.0)


def test_below_its_traffic_a_rule_abstains_without_asking_further(endpoint: Endpoint) -> None:
    by_query(endpoint, traffic=vector("0.25"), up=vector("NaN"))
    sample = ask(prom(endpoint, traffic=LITTLE))
    assert isinstance(sample, Silence)
    assert (sample.why, sample.abstains) == ("traffic 0.25 < 1", True)
    assert len(endpoint.requests) == 1


def test_from_its_traffic_on_a_rule_reads(endpoint: Endpoint) -> None:
    by_query(endpoint, traffic=vector("1"), up=vector("0.5"))
    sample = ask(prom(endpoint, traffic=LITTLE))
    assert isinstance(sample, Reading)
    assert sample.value == 0.5


@pytest.mark.parametrize(
    ("traffic", "reason"),
    [
        (prometheus([]), "traffic: the query gives no series"),
        (vector("NaN"), "traffic: the query gives NaN"),
        (vector("1", "1"), "traffic: the query gives 2 series"),
        (vector("5", at=time.time() - 60), "traffic: the sample is"),
        (answer(b"", status=503), "HTTP 503"),
    ],
)
def test_traffic_that_is_unknown_is_silence_and_no_abstention(endpoint: Endpoint, traffic: bytes, reason: str) -> None:
    by_query(endpoint, traffic=traffic, up=vector("1"))
    sample = ask(prom(endpoint, traffic=LITTLE))
    assert isinstance(sample, Silence)
    assert reason in sample.why
    assert not sample.abstains


def test_both_questions_share_one_deadline(endpoint: Endpoint) -> None:
    half = DEADLINE * 0.7

    def late(client: socket.socket) -> None:
        endpoint.released.wait(half)
        client.sendall(vector("5"))

    endpoint.reply = late
    assert why(prom(endpoint, traffic=LITTLE)) == "Prometheus: no answer in time"
