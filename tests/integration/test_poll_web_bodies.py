"""What Prometheus and HTTP endpoints may answer: a number, or a silence with the reason, whatever it is."""

import gzip
import json
import time
from collections.abc import Callable

import pytest

from guard.errors import Refused
from guard.model import Reading
from guard.poll.http import number
from guard.poll.web import Access
from guard.ports import Probe
from tests.fix_http import Endpoint, answer, prometheus
from tests.web import PROBES, ask, prom, vector, why

# -- hostile and odd bodies --------------------------------------------------------------------------


@pytest.mark.fault(46)
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


@pytest.mark.fault(49)
@PROBES
def test_a_huge_answer_is_cut_off(endpoint: Endpoint, build: Callable[..., Probe]) -> None:
    endpoint.reply = endpoint.flood
    assert "larger than 1000 kB" in why(build(endpoint))
    assert endpoint.flooded < 20_000_000


@pytest.mark.fault(49)
@PROBES
def test_a_compressed_answer_is_not_unpacked(endpoint: Endpoint, build: Callable[..., Probe]) -> None:
    endpoint.reply = answer(gzip.compress(b" " * 50_000_000), headers="Content-Encoding: gzip\r\n")
    assert "compressed" in why(build(endpoint))
    assert "accept-encoding: identity" in endpoint.requests[0].lower()


@pytest.mark.fault(49)
@PROBES
def test_a_redirect_is_not_followed_and_nothing_secret_goes_there(
    make_endpoint: Callable[[], Endpoint], build: Callable[..., Probe]
) -> None:
    first, second = make_endpoint(), make_endpoint()
    first.reply = answer(b"", status=302, headers=f"Location: {second.url}/\r\n")
    assert "redirect" in why(build(first, Access({"Authorization": "Bearer secret"})))
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


@pytest.mark.fault(46, 47, 48)
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


@pytest.mark.fault(48)
def test_an_old_sample_is_silence_whatever_clock_this_machine_has(endpoint: Endpoint) -> None:
    sent = float(int(time.time()) - 7200)  # dates of HTTP have whole seconds
    endpoint.reply = prometheus([{"metric": {}, "value": [sent - 90, "1"]}], date=sent)
    assert "the sample is 89 s old" in why(prom(endpoint))
    endpoint.reply = prometheus([{"metric": {}, "value": [sent, "1"]}], date=sent)
    assert isinstance(ask(prom(endpoint)), Reading)


# -- what an endpoint may answer ---------------------------------------------------------------------


@pytest.mark.fault(46, 47)
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
