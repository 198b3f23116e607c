"""HTTP for a few people in the daemon's own loop: sockets, limits and patience. It knows no page and no guard.

uvicorn's protocol is used without uvicorn's server, which would take over the process's signals, wake ten times a
second, and leave a client all the time it likes for its request. What a client does here may cost the guard nothing
but a connection for a few seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import stat
import struct
import time
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from guard.errors import WorldError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

CONNECTIONS = 100
"""At once; one more is closed as it comes."""
LARGEST_HEAD = 16 * 1024
"""Bytes of a request: its line and headers."""
PATIENCE = 10.0
"""Seconds that a client may take to send its request, and to take on what was written to it."""
BUFFER = 128 * 1024
"""Bytes that the kernel may hold of what a client has not taken yet."""
_SWEEP = 0.5
_HANDSHAKE = 5.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where to listen: an address and a port, or the path of a Unix socket."""

    host: str = ""
    port: int = 0
    path: Path | None = None

    @property
    def words(self) -> str:
        """For people."""
        if self.path is not None:
            return f"the Unix socket {self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Doorway:
    """Listens at one place until it is closed."""

    def __init__(
        self, app: ASGIApp, place: Place, tls: ssl.SSLContext | None = None, *, patience: float = PATIENCE
    ) -> None:
        self._place, self._tls, self._patience = place, tls, patience
        self._config = uvicorn.Config(
            app,
            http=H11Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",  # each nonsense that somebody sends would be a line of the log
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=LARGEST_HEAD,
            timeout_keep_alive=1,
        )
        self._state = ServerState()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._here: set[_Connection] = set()
        self._since: dict[_Connection, float] = {}
        """Since when a connection has kept us waiting."""

    async def open(self) -> None:
        """Begin to listen. Raises WorldError."""
        self._config.load()
        loop, tls = asyncio.get_running_loop(), self._tls
        listener = listening_at(self._place)
        try:
            self._server = await loop.create_server(
                self._protocol,
                sock=listener,
                ssl=tls,
                ssl_handshake_timeout=_HANDSHAKE if tls else None,
                ssl_shutdown_timeout=1.0 if tls else None,
            )
        except BaseException:
            listener.close()
            raise
        self._sweeper = asyncio.create_task(self._sweep(), name="page: sweep")

    async def close(self) -> None:
        """Cut every connection and listen no more; at once."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._server is not None:
            await _accept_no_more(self._server)
            self._server.close()
        for connection in tuple(self._here):
            connection.cut()
        tasks = tuple(self._state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=0.5)
        if self._place.path is not None:
            with contextlib.suppress(OSError):
                self._place.path.unlink()

    def _protocol(self) -> asyncio.Protocol:
        return _Connection(self._config, self._state, self._here)

    async def _sweep(self) -> None:
        """Cut whoever keeps us waiting, and keep the date in our answers true."""
        while True:
            now = time.monotonic()
            self._state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
            waiting = [connection for connection in self._here if connection.keeps_waiting]
            self._since = {connection: self._since.get(connection, now) for connection in waiting}
            for connection, since in self._since.items():
                if now - since > self._patience:
                    connection.cut()
            await asyncio.sleep(_SWEEP)


class _Connection(H11Protocol):
    """uvicorn's, with a bound on how many there are and on what waits in buffers."""

    def __init__(self, config: uvicorn.Config, state: ServerState, here: set[_Connection]) -> None:
        super().__init__(config, state, {})
        self._here = here
        self._refused = False

    @property
    def keeps_waiting(self) -> bool:
        """For the rest of its request, or to take on what was written."""
        cycle: RequestResponseCycle | None = self.cycle
        asking = cycle is None or cycle.response_complete
        return asking or self.transport.get_write_buffer_size() > 0

    def cut(self) -> None:
        """End it now. Else the kernel would keep what was written for whoever does not read it."""
        line = self.transport.get_extra_info("socket")
        if line is not None and line.family != socket.AF_UNIX:
            with contextlib.suppress(OSError):  # it may be closed by now
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self._here) >= CONNECTIONS:
            self._refused = True
            transport.abort()
            return
        line = transport.get_extra_info("socket")
        if line is not None:
            with contextlib.suppress(OSError):
                line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        self._here.add(self)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if not self._refused:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._here.discard(self)
        if not self._refused:
            super().connection_lost(exc)


async def _accept_no_more(server: asyncio.Server) -> None:
    """Let those who were accepted a moment ago become connections, which can be cut.

    A server that is closed before asyncio has made theirs drops them unclosed, in a circle of references: they would
    wait for an answer until garbage is collected.
    """
    loop = asyncio.get_running_loop()
    for listener in server.sockets:
        loop.remove_reader(listener.fileno())
    for _ in range(3):  # rounds of the loop: the task that accepts, its transport, its protocol
        await asyncio.sleep(0)


def listening_at(place: Place) -> socket.socket:
    """A socket that listens there. Raises WorldError."""
    try:
        return _unix(place.path) if place.path is not None else _tcp(place.host, place.port)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise WorldError(f"{place.words} cannot be listened at: {why}.") from None


def _tcp(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=CONNECTIONS)


def _unix(path: Path) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        # One that was left over by a daemon that was killed; another one's, or a file, stays and is an error.
        if stat.S_ISSOCK(path.stat().st_mode) and not _answers(path):
            path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o117)  # its user and its group; the umask of a service would keep a proxy out
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        listener.listen(CONNECTIONS)
    except BaseException:
        listener.close()
        raise
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(1.0)
        try:
            line.connect(str(path))
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
    return True


def context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 or newer with this certificate. Raises WorldError."""
    found = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        found.load_cert_chain(_handed_over(certificate), _handed_over(key), password=_no_password)
    except ssl.SSLError as error:
        reason = (error.reason or "unreadable").lower().replace("_", " ")
        raise WorldError(f"{certificate} and {key} are no certificate and its key: {reason}.") from None
    except OSError as error:
        raise WorldError(f"{certificate} or {key} cannot be read: {error.strerror}.") from None
    return found


def _handed_over(path: Path) -> Path:
    """The credential of the file's name, where systemd hands over what only root may read (LoadCredential=)."""
    handed = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent")) / path.name
    return handed if not os.access(path, os.R_OK) and os.access(handed, os.R_OK) else path


def _no_password() -> str:
    # Without this a key with a passphrase would have OpenSSL ask for it at a terminal, and wait.
    raise WorldError("The key has a passphrase, and nobody is there to type it.")
