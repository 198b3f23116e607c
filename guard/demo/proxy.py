"""A TCP line to a server that can freeze, break, slow down and heal.

Frozen, it keeps connections and passes nothing on, as a router that drops packets does; the ends only
see silence. Cut, it resets every connection and every new one. This file does not know what is said on the line.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from psycopg import conninfo

T = TypeVar("T")
Direction = Literal["both", "to_server", "to_client"]

_CHUNK = 16384
_LATE = 0.05
"""Seconds that a limited line makes up for at most."""
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with 0 s: close() sends RST


class Proxy:
    """Listens on 127.0.0.1:*port* and passes every connection on to 127.0.0.1:*target*.

    Its event loop runs in a thread of its own; all methods may be called from any other thread, and have
    taken effect when they return.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._open = {"to_server": asyncio.Event(), "to_client": asyncio.Event()}
        self._broken = False
        self._rate: float | None = None
        self._pairs: dict[asyncio.Task[None], tuple[socket.socket, socket.socket]] = {}
        self._passed = {"to_server": 0, "to_client": 0}
        self._accepted = 0
        self._thread = threading.Thread(target=self._run, name=f"proxy:{self.port}", daemon=True)
        self._thread.start()
        self.heal()

    def dsn(self, dsn: str) -> str:
        """The connection string *dsn* led through this line."""
        return conninfo.make_conninfo(dsn, host="127.0.0.1", port=self.port)

    # -- faults ----------------------------------------------------------------------------------------

    def freeze(self, direction: Direction = "both") -> None:
        """Pass nothing more on in *direction*; connections stay open, new ones are accepted in silence."""

        async def shut() -> None:
            for way, gate in self._open.items():
                if direction in {"both", way}:
                    gate.clear()

        self._call(shut())

    def cut(self) -> None:
        """Reset every connection (RST), and each new one at once, until heal()."""

        async def cut() -> None:
            self._broken = True
            await self._drop_all()

        self._call(cut())

    def heal(self) -> None:
        """Pass all on again; what a frozen line held back arrives now."""

        async def heal() -> None:
            self._broken = False
            for gate in self._open.values():
                gate.set()

        self._call(heal())

    def limit(self, bytes_per_second: float | None) -> None:
        """Slow each connection's way to the client to *bytes_per_second*; None lifts the limit."""

        async def limit() -> None:
            self._rate = bytes_per_second

        self._call(limit())

    # -- what was seen ---------------------------------------------------------------------------------

    @property
    def connections(self) -> int:
        """How many connections are open through the line."""
        return len(self._pairs)

    @property
    def accepted(self) -> int:
        """How many connections have been accepted in all."""
        return self._accepted

    @property
    def passed(self) -> dict[str, int]:
        """Bytes passed on so far, ``to_server`` and ``to_client``."""
        return dict(self._passed)

    # -- its life --------------------------------------------------------------------------------------

    def close(self) -> None:
        """Reset what is open and end the thread. May be called twice."""
        if not self._thread.is_alive():
            return
        self._call(self._drop_all())
        self._loop.call_soon_threadsafe(self._acceptor.cancel)
        self._thread.join(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._acceptor = self._loop.create_task(self._accept())
        try:
            with contextlib.suppress(asyncio.CancelledError):
                self._loop.run_until_complete(self._acceptor)
        finally:
            self._listener.close()
            # Whoever came after everybody had been dropped.
            self._loop.run_until_complete(self._drop_all())
            self._loop.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    # -- in the thread ---------------------------------------------------------------------------------

    async def _accept(self) -> None:
        while True:
            client, _ = await self._loop.sock_accept(self._listener)
            self._accepted += 1
            server = socket.socket()
            for end in (client, server):
                end.setblocking(False)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._broken:
                _reset(client, server)
                continue
            task = self._loop.create_task(self._serve(client, server))
            self._pairs[task] = (client, server)
            task.add_done_callback(self._forget)

    async def _serve(self, client: socket.socket, server: socket.socket) -> None:
        """Pass both ways until both ends have said that they are done, or either breaks."""
        finished = False
        try:
            await self._open["to_server"].wait()
            await self._loop.sock_connect(server, ("127.0.0.1", self.target))
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(client, server, "to_server"))
                both.create_task(self._pass(server, client, "to_client"))
            finished = True
        except* OSError:
            pass  # an end has gone: the other learns it by the reset
        finally:
            if finished:  # a reset would throw away what is still on its way
                client.close()
                server.close()
            else:
                _reset(client, server)

    async def _pass(self, source: socket.socket, sink: socket.socket, way: str) -> None:
        due = 0.0
        while data := await self._loop.sock_recv(source, _CHUNK):
            if self._rate is not None and way == "to_client":
                # What a busy machine was late by is made up for, else the line would be slower than it is said to be.
                now = self._loop.time()
                due = max(due, now - _LATE) + len(data) / self._rate
                await asyncio.sleep(max(0.0, due - now))
            await self._open[way].wait()
            await self._loop.sock_sendall(sink, data)
            self._passed[way] += len(data)
        await self._open[way].wait()  # nor is the end of a connection told on a frozen line
        sink.shutdown(socket.SHUT_WR)

    def _forget(self, done: asyncio.Task[None]) -> None:
        # A task that was cancelled before it began has closed nothing.
        _reset(*self._pairs.pop(done, ()))

    async def _drop_all(self) -> None:
        tasks = list(self._pairs)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _reset(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        end.close()
