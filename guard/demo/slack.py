"""A server in Slack's place: it takes what a webhook takes and keeps it, to be shown and counted.

It does not know the guard.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

_ID = re.compile(r"\[([^\[\]]+)\]$")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it arrived."""

    at: float
    """Unix time."""
    payload: dict[str, Any]

    @property
    def notice_id(self) -> str:
        """What the fallback text ends with, so that a reader can drop a duplicate."""
        match = _ID.search(self.payload.get("text", ""))
        return match[1] if match else ""

    @property
    def lines(self) -> list[str]:
        """What Slack would show of it: headline, then its sections."""
        shown: list[str] = []
        for block in self.payload.get("blocks", []):
            texts = [block.get("text"), *block.get("fields", []), *block.get("elements", [])]
            shown += [_plain(text["text"]) for text in texts if text]
        return shown


@dataclass
class SlackServer:
    """Serves on loopback within a with block."""

    url: str = ""
    _messages: list[Message] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        path = f"/services/T0DEMO/B0DEMO/{secrets.token_urlsafe(12)}"
        handler = type("Handler", (_Handler,), {"slack": self, "webhook": path})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}{path}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def take(self, payload: dict[str, Any]) -> None:
        """Keep a message."""
        with self._lock:
            self._messages.append(Message(time.time(), payload))

    @property
    def messages(self) -> tuple[Message, ...]:
        """All so far, in the order in which they arrived."""
        with self._lock:
            return tuple(self._messages)


class _Handler(BaseHTTPRequestHandler):
    slack: SlackServer
    webhook: str

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, answer = 404, b"no_service"
        if self.path == self.webhook:
            status, answer = 200, b"ok"
            try:
                self.slack.take(json.loads(body))
            except ValueError:
                status, answer = 400, b"invalid_payload"
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name
        pass


def _plain(text: str) -> str:
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    return text.strip("`\n ")
