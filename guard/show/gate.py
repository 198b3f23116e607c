"""Who may look: every request passes here before anything else sees it. It knows no page.

A name in `Host` that is not ours is refused, since any web site may have its own name lead to this machine (DNS
rebinding) and then read as if it were this page. Nothing can be changed by any request, so there is nothing to forge.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import time
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

SERVER = "migration-guard"
"""By which `check` knows the daemon's own page where the address is taken."""
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "server": SERVER,
    # Nobody may hold a connection, and its place, between two requests.
    "connection": "close",
}
_MAY = ("GET", "HEAD")
_OPEN = frozenset({"/healthz"})
"""Paths that need no token: what restarts a process that hangs has none, and is told nothing but whether it does."""
_LONGEST_TARGET = 2000
"""Characters of path and query."""
_SAY_EVERY = 60.0
"""Seconds between two reports of a page that failed in an unforeseen way."""


class Gate:
    """Lets through who may look; *token* None: everybody who comes by one of the names."""

    def __init__(self, app: ASGIApp, *, names: Iterable[str], token: str | None) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in names)
        self._digest = None if token is None else _digest(token.encode())
        self._said = float("-inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        begun = False

        async def guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, guarded)
            return
        try:
            await self._app(scope, receive, guarded)
        except Exception:
            if time.monotonic() - self._said >= _SAY_EVERY:
                self._said = time.monotonic()
                log.exception("a page failed in an unforeseen way")
            if begun:
                raise  # the connection is cut, so that nobody takes half a page for a whole one
            await _plain(500, "The page failed; the daemon's log says why. The guard goes on.")(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        if scope["method"] not in _MAY:
            return _plain(405, "Nothing can be changed here: GET and HEAD alone.", allow=", ".join(_MAY))
        if not self._known(headers.getlist("host")):
            return _plain(421, "This name is not served here; [page] hosts lists those that are.")
        if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            return _plain(400, "A body is not wanted here.")
        if len(scope["raw_path"]) + len(scope["query_string"]) > _LONGEST_TARGET:
            return _plain(414, "The address is too long.")
        if scope["path"] in _OPEN or self._digest is None:
            return None
        if not self._authorized(headers.getlist("authorization")):
            ask = 'Basic realm="migration-guard", charset="UTF-8"'
            words = "A token is needed: as the bearer token, or as the password of any user."
            return _plain(401, words, www_authenticate=ask)
        return None

    def _known(self, hosts: list[str]) -> bool:
        return len(hosts) == 1 and host_of(hosts[0]) in self._names

    def _authorized(self, given: list[str]) -> bool:
        offered = _offered(given[0]) if len(given) == 1 else b""
        # Of digests, so that neither the time nor the length tells anything.
        return hmac.compare_digest(_digest(offered), self._digest or b"")


def host_of(header: str) -> str:
    """The name in a Host header without its port, in lower case; empty where it is none."""
    text = header.strip().lower()
    if text.startswith("["):
        name, bracket, port = text.partition("]")
        return f"{name}]" if bracket and _is_port(port) else ""
    name, colon, port = text.partition(":")
    return name.removesuffix(".") if _is_port(colon + port) else ""


def _is_port(text: str) -> bool:
    digits = text.removeprefix(":")
    return not text or (text != digits and digits.isascii() and digits.isdigit() and len(digits) <= 5)


def _offered(header: str) -> bytes:
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip().encode("latin-1")
    if scheme.lower() != "basic":
        return b""
    try:
        _, _, password = base64.b64decode(rest.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return b""
    return password


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()


def _plain(status: int, words: str, **headers: str) -> PlainTextResponse:
    return PlainTextResponse(words + "\n", status, {name.replace("_", "-"): value for name, value in headers.items()})
