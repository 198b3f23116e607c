"""Fixtures: an HTTP server that misbehaves by script, byte by byte."""

import contextlib
import email.utils
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tools import tool

Script = Callable[[socket.socket], None]


def answer(body: bytes, *, status: int = 200, headers: str = "", date: float | None = None) -> bytes:
    """A whole, well-formed answer; *headers* are further lines, each ended by CRLF."""
    stamp = email.utils.formatdate(date if date is not None else time.time(), usegmt=True)
    head = f"HTTP/1.1 {status} X\r\nDate: {stamp}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n"
    return head.encode() + body


def prometheus(result: object, *, kind: str = "vector", status: int = 200, date: float | None = None) -> bytes:
    """An answer as Prometheus gives it."""
    document = {"status": "success", "data": {"resultType": kind, "result": result}}
    return answer(json.dumps(document).encode(), status=status, date=date)


class Endpoint:
    """Listens on 127.0.0.1:*port*; each request gets what *reply* is by then: bytes, or a script that writes them."""

    def __init__(self) -> None:
        self.reply: bytes | Script = answer(b"{}")
        self.requests: list[str] = []
        self.tls: ssl.SSLContext | None = None
        self.flooded = 0
        """Bytes that a flood got rid of."""
        self.released = threading.Event()
        """Scripts that hang wait for it; set when the test ends."""
        self.port = 0
        self.open()
        self.url = f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        """Listen, after a shut() on the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, name=f"endpoint:{self.port}", daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            stack.callback(client.close)
            if self.tls is not None:
                client = stack.enter_context(self.tls.wrap_socket(client, server_side=True))
            head = b""
            while b"\r\n\r\n" not in head and (data := client.recv(65536)):
                head += data
                if head.startswith(b"\x16"):  # TLS, which nobody speaks here
                    break
            self.requests.append(head.decode("latin-1"))
            if isinstance(self.reply, bytes):
                client.sendall(self.reply)
            else:
                self.reply(client)

    def hang(self, _client: socket.socket) -> None:
        """A script: never answer."""
        self.released.wait(60)

    def drip(self, client: socket.socket) -> None:
        """A script: one byte each 50 ms, for ever, so that no single read takes long."""
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not self.released.wait(0.05):
            client.sendall(b" ")

    def drip_head(self, client: socket.socket) -> None:
        """The same, before the answer has even begun."""
        client.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not self.released.wait(0.05):
            client.sendall(b"x")

    def flood(self, client: socket.socket) -> None:
        """A script: an answer without an end, as fast as it is taken."""
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not self.released.is_set():
            self.flooded += client.send(b" " * 65536)

    def close(self) -> None:
        """End for good, with every script that hangs."""
        self.released.set()
        self.shut()

    def shut(self) -> None:
        """Refuse connections from now on."""
        # accept() in another thread does not end by close() alone.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


@pytest.fixture
def make_endpoint() -> Iterator[Callable[[], Endpoint]]:
    """``make_endpoint()``: a server of one's own; ends with the test."""
    made: list[Endpoint] = []

    def make() -> Endpoint:
        made.append(Endpoint())
        return made[-1]

    yield make
    for endpoint in made:
        endpoint.close()


@pytest.fixture
def endpoint(make_endpoint: Callable[[], Endpoint]) -> Endpoint:
    """A server that misbehaves by script."""
    return make_endpoint()


@pytest.fixture
def self_signed(tmp_path: Path) -> ssl.SSLContext:
    """What a server presents that nobody has a reason to trust, unless they name `server.crt` beside it."""
    certificate, key = tmp_path / "server.crt", tmp_path / "server.key"
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    words += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    words += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([tool("openssl"), *words], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
