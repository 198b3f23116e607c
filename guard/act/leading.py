"""Whether a guard may lead here at all, and the leader's lock: who holds it, and whether that one still lives.

It writes nothing but the lock and the term; what a leader says is the control table's.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

from guard.act.install import PROTOCOL, VERSION
from guard.act.own_term import OwnTerm
from guard.errors import (
    Fenced,
    HeldByAnother,
    NotInstalled,
    NotPermitted,
    QueryFailed,
    ServerError,
    Unreachable,
    WrongServer,
)
from guard.postgres import Door
from guard.sql import get

_TAKEOVER_WITHIN, _TAKEOVER_EVERY = 2.0, 0.05
STANDS_STILL = 2.5
"""Seconds without a question from a leader's session after which nobody is at its other end. A leader that lives asks
once a second, beating or, while nobody migrates, only to hear that it still leads."""
_LOCK_NOT_AVAILABLE = "55P03"
_SIGNS_OF_LIFE = 2
"""One question may still have been on its way when its sender died."""


async def check_world(door: Door) -> tuple[str, str]:
    """Which server and timeline this is, and the same for people.

    Raises WrongServer (a standby, a copied schema), NotInstalled, ServerError.
    """
    try:
        [(recovery, installed, system, timeline)] = await door.fetch(get("control_look"))
        if recovery:
            raise WrongServer("This server is a standby: a guard leads on the primary.")
        rows = await door.fetch(get("control_installation")) if installed else []
    except NotPermitted as error:
        raise NotInstalled(
            f"The guard's role may not use schema migration_guard: grant migration_guard_guard to it. ({error})"
        ) from error
    if not rows:
        raise NotInstalled("Schema migration_guard is not there, or empty: run migration-guard install.")
    version, protocol, database, ours = rows[0]
    if (version, protocol) != (VERSION, PROTOCOL):
        raise NotInstalled(
            f"Schema migration_guard is of version {version} (protocol {protocol}), this program of version "
            f"{VERSION} (protocol {PROTOCOL}): run migration-guard install with the newer program."
        )
    if not ours:
        raise WrongServer(
            f"Schema migration_guard came here with a copy of database {database}: "
            "run migration-guard install --restamp to make it this database's own."
        )
    return f"{system}/{timeline}", f"{door.host} (timeline {int(timeline, 16)})"


@dataclass(frozen=True, slots=True)
class Holder:
    """Columns of control_holder.sql: the session with the leader's lock, and the guard that wrote from it last."""

    pid: int
    guard_id: str | None
    host: str
    wrote: bool
    term: int | None
    asked: datetime | None
    """When its last question began, by the server's clock; None where that is hidden from our role."""


class LeaderLock:
    """Takes the leader's lock for a guard, and a new term with it.

    *door*'s session holds the lock. *own* remembers our last term across restarts of this machine's daemon.
    """

    def __init__(self, door: Door, guard_id: str, own: OwnTerm | None) -> None:
        self._door = door
        self._guard_id = guard_id
        self._own = own
        self._term = 0
        self._sessions: set[int | None] = set()
        """Process ids of our own sessions: another one under our name belongs to another process."""

    async def take(self) -> int:
        """The new term.

        Raises HeldByAnother (also for a guard of our own name that is at work on another machine), Fenced (another
        process of our name has come since this one led), ServerError.
        """
        self._sessions.add(self._door.backend_pid)
        term = await self._try_lock() or await self._take_over()
        self._term = term
        if self._own is not None:
            self._own.note(term)
        return term

    async def _try_lock(self) -> int | None:
        try:
            [(term,)] = await self._door.fetch(get("control_lead"), {"guard_id": self._guard_id})
        except QueryFailed as error:
            raise await explained(self._door, error) from error
        return None if term is None else int(term)

    async def _take_over(self) -> int:
        loop = asyncio.get_running_loop()
        end = loop.time() + _TAKEOVER_WITHIN
        ended = False
        while True:
            holder = await self._holder()
            if holder is not None and not holder.wrote:
                # It holds the lock and has not said who it is: perhaps a try of our own that missed its deadline.
                if loop.time() > end:
                    who = f"pid {holder.pid} on {holder.host}"
                    raise Unreachable(f"signal: {who} holds the leader's lock and leads nobody yet.")
            elif holder is not None:
                self._refuse(holder)
                if not ended:
                    if not self._is_ours(holder):
                        await self._see_it_dead(holder)
                        end = loop.time() + _TAKEOVER_WITHIN
                    # The lock of a guard that was killed behind a broken line stays until the server notices.
                    mine = {"guard_id": self._guard_id, "pid": holder.pid}
                    await self._door.fetch(get("control_end_session"), mine)
                    ended = True
                elif loop.time() > end and self._is_ours(holder):
                    # It is told to end and will, on a server that is slow or frozen; nobody else leads meanwhile.
                    raise Unreachable(f"signal: our own old session (pid {holder.pid}) has not ended yet.")
                elif loop.time() > end:
                    raise HeldByAnother(_leads(holder))
            await asyncio.sleep(_TAKEOVER_EVERY)
            term = await self._try_lock()
            if term is not None:
                return term

    async def _holder(self) -> Holder | None:
        rows = await self._door.fetch_as(Holder, get("control_holder"))
        return rows[0] if rows else None

    def _refuse(self, holder: Holder) -> None:
        if holder.guard_id != self._guard_id:
            raise HeldByAnother(_leads(holder))
        if self._term and holder.pid not in self._sessions:
            raise Fenced(
                f"Another process leads this database as guard {holder.guard_id} (pid {holder.pid}, {holder.host}): "
                "give each guard an id of its own."
            )

    def _is_ours(self, holder: Holder) -> bool:
        """Whether the session is our own, or that of the daemon that ran with our state directory before us."""
        return holder.pid in self._sessions or (self._own is not None and holder.term == self._own.last())

    async def _see_it_dead(self, holder: Holder) -> None:
        """Watch a leader of our own name from elsewhere for a while. Raises HeldByAnother where it lives."""
        loop = asyncio.get_running_loop()
        asked, signs, still_until = holder.asked, 0, loop.time() + STANDS_STILL
        while loop.time() < still_until:
            await asyncio.sleep(2 * _TAKEOVER_EVERY)
            now = await self._holder()
            if now is None or now.pid != holder.pid:
                return
            if now.asked != asked:
                asked, signs, still_until = now.asked, signs + 1, loop.time() + STANDS_STILL
            if signs >= _SIGNS_OF_LIFE:
                raise HeldByAnother(
                    f"{_leads(holder)[:-1]} under the same id, and it is at work: give each guard an id of its own "
                    "([guard] id), or stop that one first."
                )


async def explained(door: Door, error: QueryFailed) -> QueryFailed:
    """The same error; where it waited too long for a lock, with whoever holds one: only that is of help."""
    if error.sqlstate != _LOCK_NOT_AVAILABLE:
        return error
    try:
        holders = await door.fetch(get("control_blockers"))
    except ServerError as failure:
        return QueryFailed(f"{error}; who holds the lock is unknown ({failure})", error.sqlstate)
    return QueryFailed("; ".join([str(error), *(words for (words,) in holders)]), error.sqlstate)


def _leads(holder: Holder) -> str:
    return f"Guard {holder.guard_id or '?'} on {holder.host} (pid {holder.pid}) leads this database."
