"""Who may look at the page."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from guard.show.gate import HEADERS, Gate, host_of

TOKEN = "a token of the tests"


async def _page(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/broken":
        raise ZeroDivisionError("never thought of")
    await PlainTextResponse("the page")(scope, receive, send)


def asked(*headers: tuple[str, str], token: str | None = None, **scope: Any) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of the answer to one request."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    known = headers or (("host", "localhost"),)
    raw = [(name.encode(), value.encode("latin-1")) for name, value in known]
    whole = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": raw,
        **scope,
    }
    asyncio.run(Gate(_page, names=("localhost", "[::1]", "Guard.example"), token=token)(whole, receive, send))
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], told, b"".join(each.get("body", b"") for each in sent[1:]).decode()


@pytest.mark.fault(66)
@pytest.mark.parametrize(
    "host",
    ["evil.com", "localhost.evil.com", "evil.com:8788", "127.0.0.1.nip.io", "", "local host", "localhost:x", "[::2]"],
)
def test_a_page_asked_for_by_a_foreign_name_is_refused(host: str) -> None:
    status, headers, body = asked(("host", host))
    assert (status, "the page" in body) == (421, False)
    assert headers.items() >= HEADERS.items()


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8788", "localhost.", "[::1]:8788", "guard.example:443"])
def test_a_page_asked_for_by_a_name_of_ours_is_given(host: str) -> None:
    assert asked(("host", host))[0] == 200


@pytest.mark.fault(66)
def test_no_host_and_two_of_them_are_refused() -> None:
    assert asked(("accept", "*/*"))[0] == 421
    assert asked(("host", "localhost"), ("host", "evil.com"))[0] == 421


@pytest.mark.fault(66)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"])
def test_nothing_but_reading_is_possible(method: str) -> None:
    status, headers, _ = asked(("host", "localhost"), ("origin", "null"), method=method)
    assert (status, headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.fault(66)
def test_bodies_and_endless_addresses_are_refused() -> None:
    assert asked(("host", "localhost"), ("content-length", "5"))[0] == 400
    assert asked(("host", "localhost"), ("transfer-encoding", "chunked"))[0] == 400
    assert asked(raw_path=b"/" + b"x" * 3000)[0] == 414
    assert asked(query_string=b"x" * 3000)[0] == 414


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.fault(66)
@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "Bearer",
        "Bearer a token",
        f"Bearer {TOKEN}x",
        f"Basic {TOKEN}",
        basic("anna:wrong"),
        basic(TOKEN),
        "Basic %",
    ],
)
def test_without_the_token_nobody_looks(given: str | None) -> None:
    headers = (("host", "localhost"), *([] if given is None else [("authorization", given)]))
    status, told, body = asked(*headers, token=TOKEN)
    assert (status, "the page" in body) == (401, False)
    assert told["www-authenticate"].startswith("Basic ")


@pytest.mark.fault(66)
def test_health_alone_is_told_without_the_token_and_only_by_a_name_of_ours() -> None:
    assert asked(token=TOKEN, path="/healthz")[0] == 200
    assert asked(("host", "evil.com"), token=TOKEN, path="/healthz")[0] == 421
    for path in ("/metrics", "/check/healthz", "/healthz/", "//healthz", "/HEALTHZ"):
        assert asked(token=TOKEN, path=path)[0] == 401


@pytest.mark.parametrize("given", [f"Bearer {TOKEN}", f"bearer  {TOKEN}", basic(f"anna:{TOKEN}"), basic(f":{TOKEN}")])
def test_with_the_token_one_looks(given: str) -> None:
    assert asked(("host", "localhost"), ("authorization", given), token=TOKEN)[0] == 200


def test_a_token_that_is_given_twice_is_none() -> None:
    twice = [("authorization", f"Bearer {TOKEN}")] * 2
    assert asked(("host", "localhost"), *twice, token=TOKEN)[0] == 401


def test_a_page_that_fails_says_nothing_of_how_and_has_the_headers_all_the_same() -> None:
    status, headers, body = asked(path="/broken")
    assert status == 500
    assert "ZeroDivisionError" not in body
    assert headers.items() >= HEADERS.items()


@pytest.mark.parametrize(
    ("header", "name"),
    [("A:1", "a"), ("a:", ""), ("[::1", ""), ("[::1]x", ""), ("a:123456", ""), ("a:1:2", ""), (" a ", "a")],
)
def test_the_name_of_a_host_header(header: str, name: str) -> None:
    assert host_of(header) == name
