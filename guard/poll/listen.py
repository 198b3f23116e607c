"""Wakes a guard at once when a migration registers or ends. What happened, the roster probe reads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from guard.errors import ServerError
from guard.postgres import Connection, Door


class Listener:
    """A connection that only listens. *wake* is called with each notification's text.

    It is also called, with an empty text, after each connect: what was said while nobody listened is lost.
    """

    def __init__(self, door: Door, wake: Callable[[str], None], *, retry: float = 0.5) -> None:
        self._door = door
        self._wake = wake
        self._retry = retry
        door.on_connect = self._subscribe

    async def _subscribe(self, connection: Connection) -> None:
        await connection.execute("listen migration_guard")
        self._wake("")

    async def run(self) -> None:
        """Listen until cancelled, and reconnect for ever; the probes say what is wrong meanwhile."""
        while True:
            try:
                payloads = await self._door.notified(30.0)
            except ServerError:
                await asyncio.sleep(self._retry)
                continue
            for payload in payloads:
                self._wake(payload)

    async def close(self) -> None:
        """Close the connection."""
        await self._door.close()
