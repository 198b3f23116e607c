"""Clients of the status page on real sockets: who asks, who follows, and what they wait for."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from guard.demo.server import free_port
from guard.show.app import create
from guard.show.serving import Doorway, Place
from tests.seen import Stage

WITHIN = 20.0
"""Seconds that a busy machine may take for anything."""
HELLO = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
FOLLOW = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"


@contextlib.asynccontextmanager
async def doorway(stage: Stage, *, patience: float = 10.0) -> AsyncIterator[int]:
    """The page on a port of its own."""
    app, desk = create(stage, Path("/nonexistent"), names=("localhost",))
    port = free_port()
    door = Doorway(app, Place("127.0.0.1", port), patience=patience)
    await door.open()
    try:
        yield port
    finally:
        desk.close()
        await door.close()


async def ask(port: int, request: bytes = HELLO) -> bytes:
    """The whole answer; empty where the connection was cut."""
    async with asyncio.timeout(WITHIN):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


class Follower:
    """Reads a stream of events."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def come(cls, port: int) -> Follower:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
        writer.write(FOLLOW)
        return cls(reader, writer)

    async def status(self) -> int:
        async with asyncio.timeout(WITHIN):
            return int((await self.reader.readuntil(b"\r\n")).split()[1])

    async def part(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next part that is wanted."""
        async with asyncio.timeout(WITHIN):
            while True:
                line = await self.reader.readuntil(b"\n")
                if line.startswith(b"data: {") and wanted(part := json.loads(line[6:])):
                    return dict(part)


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """One scenario in a loop of its own."""
    asyncio.run(work())


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(WITHIN):
        while not await condition():  # noqa: ASYNC110 -- other processes and sockets set no event
            await asyncio.sleep(0.02)


async def becomes(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""

    async def holds() -> bool:
        return condition()

    await until(holds)


async def listens(port: int) -> bool:
    """Whether somebody does."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
