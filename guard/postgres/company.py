"""The doors of one host name, which must all lead to one server: a name may be given to another server at any time.

What is open stays open then, so that a guard could lead on the new primary and look at the old one. It chooses no
server: the name does. Nothing is asked but once on each new connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from guard.errors import GuardError, Unreachable
from guard.postgres.trouble import Connection

Leave = Callable[[str], Awaitable[None]]
LEAVE_WITHIN = 1.0
"""Seconds for the last word to a server that leads no more; it may be frozen."""
_MOVED = "its host name leads to another server since a moment ago"


class Member(Protocol):
    """What a company knows of a door."""

    purpose: str

    @property
    def connected(self) -> bool: ...

    def let_go(self) -> None:
        """Let go of the connection, and try at once to have another when asked."""


async def say_leave(leaves: Sequence[Leave], words: str) -> None:
    """The last word to a server that is left."""
    for leave in leaves:
        with contextlib.suppress(GuardError, TimeoutError):
            await asyncio.wait_for(leave(words), LEAVE_WITHIN)


class Company:
    """Keeps doors together. The one that *leads* says which server it is; *leaves* are called before it is left."""

    def __init__(self, leaves: Sequence[Leave]) -> None:
        self._leaves = leaves
        self._leader: weakref.ref[Member] | None = None
        self._servers: weakref.WeakKeyDictionary[Member, str] = weakref.WeakKeyDictionary()
        self._moving: asyncio.Task[None] | None = None

    def follow(self, door: Member) -> None:
        """This door leads from now on."""
        self._leader = weakref.ref(door)

    async def meet(self, door: Member, connection: Connection) -> None:
        """A door has a new connection. Raises Unreachable where it is to another server than the leader's."""
        cursor = await connection.execute("select extract(epoch from pg_postmaster_start_time())::text")
        row = await cursor.fetchone()
        server = str(row[0]) if row else ""
        leader = self._leader() if self._leader else None
        if door is leader:
            self._servers[door] = server
            for other in [each for each, known in self._servers.items() if known != server]:
                del self._servers[other]
                other.let_go()
            return
        if leader is not None and leader.connected and self._servers.get(leader) != server:
            if connection.info.parameter_status("in_hot_standby") == "on":
                raise Unreachable(
                    f"{door.purpose}: its host name leads to a standby now, and the guard leads elsewhere."
                )
            self._move(leader)
            raise Unreachable(f"{door.purpose}: {_MOVED}.")
        self._servers[door] = server

    def check(self, door: Member) -> None:
        """Before its connection is used. Raises Unreachable where the leader has moved since the door met it."""
        if door not in self._servers:
            raise Unreachable(f"{door.purpose}: {_MOVED}.")

    def _move(self, leader: Member) -> None:
        """Have the leader look where its name leads, after a last word to the server that it leaves."""
        if self._moving is None or self._moving.done():
            self._moving = asyncio.get_running_loop().create_task(self._leave(leader), name="leaving")

    async def _leave(self, leader: Member) -> None:
        await say_leave(self._leaves, _MOVED)
        leader.let_go()
