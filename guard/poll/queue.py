"""Who waits behind a migration, for how long, and who stands at the head of the queue. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

PREPARED = 0
"""pg_blocking_pids gives this for a prepared transaction, which has no session."""
_WAITED_FOR: Final = {"table": "a table", "row": "a row"}


@dataclass(frozen=True, slots=True)
class Waiter:
    """A session that waits for a lock: on a `table`, on a `row` (or its transaction), or for something `other`."""

    pid: int
    what: str
    waited: float
    blockers: list[int]


@dataclass(frozen=True, slots=True)
class Party:
    """A session that waits or is waited for."""

    pid: int
    usename: str | None
    application_name: str | None
    state: str | None
    backend_type: str | None
    in_state: float | None
    """Seconds since its state changed."""
    at_work: float | None
    """Seconds since its transaction or its statement began, whichever is older."""
    wraparound: bool | None
    own: bool | None
    migration: bool | None

    @property
    def name(self) -> str:
        return f"pid {self.pid} ({self.usename or '?'}, {self.application_name or 'no application_name'})"

    @property
    def words(self) -> str:
        """Who it is, without a word of its query, which may hold people's data."""
        if self.own:
            return f"the guard's own session, pid {self.pid}"
        if self.backend_type == "autovacuum worker":
            why = "to prevent wraparound, which must be left to finish" if self.wraparound else "which yields"
            return f"autovacuum, pid {self.pid}, {why}"
        if (self.state or "").startswith("idle in transaction"):
            return f"{self.name}, {self.state} for {self.in_state or 0.0:.1f} s"
        return self.name


@dataclass(frozen=True, slots=True)
class Behind:
    """One session's wait behind a migration."""

    pid: int
    what: str
    waited: float
    """Its own wait, but no longer than the migration's sessions have been at work: before that it waited for others."""
    migrations: frozenset[int]


class Queue:
    """The waits of one moment.

    A wait for a table is followed through waits for tables, one for a row through waits for rows: that is whom a
    cancel of the migration sets free. Not counted: the guard's own sessions, the migration's, autovacuum.
    *prepared* names the prepared transactions that somebody waits for.
    """

    def __init__(self, waiters: Sequence[Waiter], parties: Iterable[Party], prepared: Sequence[str] = ()) -> None:
        self._waiters: Mapping[int, Waiter] = {waiter.pid: waiter for waiter in waiters}
        self._parties: Mapping[int, Party] = {party.pid: party for party in parties}
        self._prepared = prepared
        self.behind = tuple(filter(None, map(self._behind, waiters)))

    def waiting(self, what: str, waited: float) -> list[Behind]:
        """The sessions that have each waited so long, or longer."""
        return [wait for wait in self.behind if wait.what == what and wait.waited >= waited]

    def longest(self, what: str) -> float:
        """The longest wait behind a migration, in seconds; 0 where nobody waits."""
        return max((wait.waited for wait in self.behind if wait.what == what), default=0.0)

    def idle_in_transaction(self) -> tuple[float, str, frozenset[int]]:
        """How long a migration has been idle in a transaction while somebody waits for it, which, and all that are."""
        blocking = {pid for waiter in self._waiters.values() if self._counts(waiter.pid) for pid in waiter.blockers}
        idle = [
            (party.in_state or 0.0, party.name, party.pid)
            for party in self._parties.values()
            if party.migration and party.pid in blocking and party.state == "idle in transaction"
        ]
        seconds, name, _ = max(idle, default=(0.0, "", 0))
        return seconds, name, frozenset(pid for _, _, pid in idle)

    def migration_waiting(self) -> tuple[float, str, frozenset[int]]:
        """How long a migration's own session has waited, which one and for whom in the end, and all that wait.

        For a lock of any kind, but not for the guard's own: that is how a migration that asks by lock is paused.
        """
        waits = [waiter for waiter in self._waiters.values() if self._is_migration(waiter.pid) and self._stuck(waiter)]
        longest = max(waits, key=lambda waiter: (waiter.waited, waiter.pid), default=None)
        if longest is None:
            return 0.0, "", frozenset()
        roots = " and ".join(self._words(root) for root in self._roots(longest.pid))
        words = f"{self._words(longest.pid)} waits for {_WAITED_FOR.get(longest.what, 'a lock')}"
        pids = frozenset(waiter.pid for waiter in waits)
        return longest.waited, f"{words} behind {roots}" if roots else words, pids

    def causing(self, waits: Sequence[Behind]) -> frozenset[int]:
        """The migrations' sessions that a cancel should end: those that queue themselves, or else those that hold."""
        behind = frozenset[int]().union(*(wait.migrations for wait in waits))
        return frozenset(pid for pid in behind if pid in self._waiters) or behind

    def explain(self, waits: Sequence[Behind]) -> str:
        """Whom they wait behind (the middle of the queue), and whom that one waits for in the end (its root)."""
        middle = sorted(frozenset[int]().union(*(wait.migrations for wait in waits)))
        return "; ".join(self._explain(pid) for pid in middle)

    def _explain(self, pid: int) -> str:
        text = f"behind the migration, {self._words(pid)}"
        roots = self._roots(pid)
        if not roots:
            return text
        return f"{text}, which waits for " + " and ".join(self._words(root) for root in roots)

    def _roots(self, pid: int) -> list[int]:
        return sorted(root for root in self._upstream(pid, None) if root not in self._waiters)

    def _words(self, pid: int) -> str:
        if pid == PREPARED:
            named = " and ".join(f"prepared transaction {name}" for name in self._prepared)
            return (
                f"{named}, without a session to cancel" if named else "a prepared transaction (see pg_prepared_xacts)"
            )
        party = self._parties.get(pid)
        return party.words if party else f"pid {pid}"

    def _is_migration(self, pid: int) -> bool:
        party = self._parties.get(pid)
        return party is not None and bool(party.migration)

    def _stuck(self, waiter: Waiter) -> bool:
        blockers = [self._parties.get(pid) for pid in waiter.blockers]
        return any(party is None or not party.own for party in blockers)

    def _counts(self, pid: int) -> bool:
        party = self._parties.get(pid)
        return party is not None and not (party.own or party.migration or party.backend_type == "autovacuum worker")

    def _behind(self, waiter: Waiter) -> Behind | None:
        if waiter.what == "other" or not self._counts(waiter.pid):
            return None
        upstream = (self._parties.get(pid) for pid in self._upstream(waiter.pid, waiter.what))
        migrations = [party for party in upstream if party is not None and party.migration]
        if not migrations:
            return None
        at_work = max(party.at_work or 0.0 for party in migrations)
        pids = frozenset(party.pid for party in migrations)
        return Behind(waiter.pid, waiter.what, min(waiter.waited, at_work), pids)

    def _upstream(self, pid: int, what: str | None) -> set[int]:
        """All that *pid* waits for, through waits of one kind, or of any (None)."""
        seen: set[int] = set()
        ahead = [pid]
        while ahead:
            waiter = self._waiters.get(ahead.pop())
            if waiter is not None and what in {None, waiter.what}:
                ahead.extend(set(waiter.blockers) - seen)
                seen.update(waiter.blockers)
        return seen - {pid}
