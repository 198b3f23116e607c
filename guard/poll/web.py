"""What Prometheus and HTTP endpoints share: a bounded answer, and plain words for what went wrong.

No message holds an address's path, a header or a body: they may be secret.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from guard.errors import Refused, WorldError

MAX_BYTES = 1_000_000


def _nothing() -> dict[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Access:
    """How a source is asked beside its address."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """They go with each request."""
    credentials: Callable[[], Mapping[str, str]] = _nothing
    """More headers, read before each request: a token that was rotated is found. May raise WorldError where there is
    none to be had."""
    ca_file: str | None = None
    """Who answers https must be vouched for by a certificate of this PEM file; None: by a well-known authority."""


ANYBODY: Final = Access()


class Plug:
    """Ends a conversation from another thread: a library's timeout is per read, and a dripping answer never meets it.

    The library's call then fails at once, and its thread is free.
    """

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def insert(self, connected: socket.socket | None) -> None:
        """The connection that is spoken on from now on."""
        self._socket = connected

    def pull(self) -> None:
        """Shut it, if there is one. It does not block."""
        if self._socket is not None:
            with contextlib.suppress(OSError):  # closed meanwhile
                # Of the plain socket: TLS would say goodbye first, and race with its reader.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def authorities(ca_file: str) -> ssl.SSLContext:
    """TLS that trusts the certificates of a PEM file and no other. Raises Refused where it has none."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise Refused(f"{ca_file} holds no certificate") from None
    except OSError as wrong:
        raise Refused(f"{ca_file} cannot be read: {wrong.strerror}") from None


def body(chunks: Iterable[bytes]) -> bytes:
    """All of an answer, which may have MAX_BYTES."""
    parts, size = [], 0
    for chunk in chunks:
        size += len(chunk)
        if size > MAX_BYTES:
            raise Refused(f"the answer is larger than {MAX_BYTES // 1000} kB")
        parts.append(chunk)
    return b"".join(parts)


def check(status: int, encoding: str | None) -> None:
    """Refuse redirects (credentials would go where they lead), errors, and answers that unpack to any size."""
    if 300 <= status < 400:
        raise Refused(f"the answer is a redirect ({status}), which is not followed")
    if status != 200:
        name = HTTPStatus(status).phrase if status in set(HTTPStatus) else "unknown status"
        raise Refused(f"the answer is HTTP {status} ({name})")
    if (encoding or "identity").strip().lower() != "identity":
        raise Refused("the answer is compressed, which was not asked for")


def parse(text: bytes) -> Any:
    """JSON, without the NaN and Infinity that Python's parser adds to it."""

    def no_such(name: str) -> float:
        raise ValueError(name)

    try:
        return json.loads(text, parse_constant=no_such)
    except (ValueError, RecursionError):  # numbers of thousands of digits and broken UTF-8 are ValueErrors too
        raise Refused("the answer is not JSON") from None


def why(error: BaseException) -> str:
    """An error of requests, httpx or the standard library in words; the deepest cause speaks."""
    chain = _chain(error)
    for cause in chain:
        if isinstance(cause, Refused | WorldError):
            return str(cause).rstrip(".")
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {getattr(cause, 'verify_message', '') or cause.reason or 'no reason given'}"
        if isinstance(cause, socket.gaierror):
            return "its name cannot be resolved"
    if any(isinstance(cause, TimeoutError) or "Timeout" in type(cause).__name__ for cause in chain):
        return "no answer in time"
    told = [cause.strerror for cause in chain if isinstance(cause, OSError) and isinstance(cause.strerror, str)]
    return told[-1].lower() if told else f"the connection failed ({type(error).__name__})"


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    ahead: list[object] = [error]
    while ahead:
        link = ahead.pop(0)
        if isinstance(link, BaseException) and link not in found:
            found.append(link)
            # requests and urllib3 keep the cause as an argument, or as the reason for giving up.
            ahead += [link.__cause__, link.__context__, getattr(link, "reason", None), *link.args]
    return found
