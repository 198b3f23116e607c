"""A real HTTP server in the place of whoever takes notices by webhook: it keeps what came and answers as a script says.

It does not know the guard, and verifies signatures by the lines that docs/channels.md gives to people.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "channels.md"
TOKEN = "hook-t0ken-CANARY"
"""In the path: who has it can post."""
SECRET = "sign-CANARY-0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Reply:
    """What is done with one request."""

    status: int = 200
    retry_after: str | None = None
    location: str | None = None
    how: str = "answer"
    """`answer`; `hang`: take it and never answer; `reset`: cut the line; `slow`: trickle the answer; `flood`: answer
    without end."""


OK = Reply()
HANG = Reply(how="hang")
RESET = Reply(how="reset")
SLOW = Reply(how="slow")
FLOOD = Reply(how="flood")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request that came."""

    at: float
    """Monotonic."""
    method: str
    headers: dict[str, str]
    """By their names in lower case."""
    body: bytes
    reply: Reply

    @property
    def document(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """What came, and the script of what is answered; after its end all is taken."""

    url: str = ""
    script: list[Reply] = field(default_factory=list)
    came: list[Delivery] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    closing: threading.Event = field(default_factory=threading.Event)
    flooded: int = 0
    """Bytes that a flood got rid of."""

    def take(self, method: str, headers: dict[str, str], body: bytes) -> Reply:
        """Note a request and say how to answer it."""
        with self.lock:
            reply = self.script.pop(0) if self.script else OK
            self.came.append(Delivery(time.monotonic(), method, headers, body, reply))
            return reply

    def taken(self) -> list[Any]:
        """The documents that were answered with 200, in order."""
        with self.lock:
            return [each.document for each in self.came if each.reply == OK and each.method == "POST"]


def genuine(delivery: Delivery, secret: str = SECRET) -> bool:
    """Whether a request is signed by the secret, as the page tells people to verify it."""
    names: dict[str, Any] = {}
    exec(PAGE.read_text().split("```python\n")[1].split("```")[0], names)  # noqa: S102 -- our own page
    return bool(names["genuine"](delivery.headers["migration-guard-signature"], delivery.body, secret))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    receiver: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.receiver.take(self.command, headers, body)
        if reply.how == "hang":
            self.receiver.closing.wait()
            self.close_connection = True
        elif reply.how == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
        else:
            self._say(reply)

    do_HEAD = do_POST  # noqa: N815 -- the library's name

    def _say(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in (("Retry-After", reply.retry_after), ("Location", reply.location)):
            if value is not None:
                self.send_header(name, value)
        self.send_header("Content-Length", {"slow": "1000", "flood": str(1 << 40)}.get(reply.how, "0"))
        self.end_headers()
        while reply.how == "flood" and not self.receiver.closing.is_set():
            self.receiver.flooded += self.wfile.write(bytes(1 << 16))
        while reply.how == "slow" and not self.receiver.closing.wait(0.05):
            # Each byte comes in time for a timeout that counts only the pause between two.
            self.wfile.write(b"o")
            self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that gave up is part of the script."""


@contextmanager
def receiver(*script: Reply, kind: type[Receiver] = Receiver) -> Iterator[Receiver]:
    """Serve on loopback until the block ends."""
    found = kind(script=list(script))
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"receiver": found}))
    found.url = f"http://127.0.0.1:{server.server_address[1]}/{TOKEN}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.closing.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
