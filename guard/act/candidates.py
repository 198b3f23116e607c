"""A migration's session that others wait for, and how a lock rule counts those who wait. Looks at nothing itself."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from guard.model import Rule, Session

ACTIVE = ("active", "fastpath function call")
IDLE_IN_TRANSACTION = "idle in transaction"
_TABLE, _ROW = ("table",), ("row",)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A session of the migration as it was a moment ago, by the server's clock."""

    pid: int
    backend_start: dt.datetime
    query_start: dt.datetime | None
    usename: str
    application_name: str
    state: str
    relations: list[int]
    in_state: float = 0.0
    """Seconds since its state changed."""
    queued: bool = False
    """Waits for a table itself."""
    waiter_pids: list[int] = dataclasses.field(default_factory=list)
    waiter_whats: list[str] = dataclasses.field(default_factory=list)
    waiter_seconds: list[float] = dataclasses.field(default_factory=list)
    gentle: str = ""
    """Its statement, where that is one of those that are left to finish."""
    waits: bool = False
    """Its statement is a question to the guard, or waits to be let go on."""
    holds: bool = False
    """Its transaction has changed or locked something, or keeps a snapshot."""
    fence: str = ""
    """What it has declared itself to be in, and must not be cancelled in while that has time left."""
    fence_left: float = 0.0
    fence_whole: float = 0.0
    """Seconds."""

    @property
    def identity(self) -> tuple[int, dt.datetime]:
        return self.pid, self.backend_start

    @property
    def fenced(self) -> bool:
        """Whether it must not be cancelled now."""
        return self.fence_left > 0

    @property
    def fence_over(self) -> str:
        """In words that its fence had no time left; empty where it had none."""
        return f"(its fence {self.fence} ran out after {self.fence_whole:g} s)" if self.fence else ""

    @property
    def words(self) -> str:
        return f"session {self.pid} ({self.usename}, {self.application_name or 'no application_name'})"

    def session(self, run_id: int | None = None) -> Session:
        return Session(
            pid=self.pid,
            backend_start_wall=self.backend_start.timestamp(),
            usename=self.usename,
            application_name=self.application_name,
            state=self.state,
            run_id=run_id,
        )

    def waiters(self, whats: Sequence[str], waited: float) -> dict[int, float]:
        """Seconds by process id of those who wait for it in one of these ways and have waited so long."""
        all_of_them = zip(self.waiter_pids, self.waiter_whats, self.waiter_seconds, strict=True)
        return {pid: seconds for pid, what, seconds in all_of_them if what in whats and seconds >= waited}


@dataclass(frozen=True, slots=True)
class Measure:
    """How a lock rule counts: which waits, how long each must have lasted, and the value that its limit is for."""

    whats: tuple[str, ...]
    waited: float
    metric: str

    @classmethod
    def of(cls, rule: Rule) -> Measure:
        metric = rule.metric.removeprefix("locks.")
        if metric == "row_waits_behind_migration":
            return cls(_ROW, rule.waited, metric)
        if metric == "idle_in_transaction":
            return cls(_TABLE + _ROW, 0.0, metric)
        # The longest wait has no number of sessions, so none of them needs to have waited for long.
        return cls(_TABLE, 0.0 if metric == "longest_wait" else rule.waited, metric)

    def waiters(self, seen: Iterable[Candidate]) -> dict[int, float]:
        found: dict[int, float] = {}
        for candidate in seen:
            found |= candidate.waiters(self.whats, self.waited)
        return found

    def value(self, seen: Sequence[Candidate]) -> float:
        if self.metric == "idle_in_transaction":
            idle = (c.in_state for c in seen if c.state == IDLE_IN_TRANSACTION and self.waiters([c]))
            return max(idle, default=0.0)
        waiters = self.waiters(seen)
        return max(waiters.values(), default=0.0) if self.metric == "longest_wait" else float(len(waiters))
