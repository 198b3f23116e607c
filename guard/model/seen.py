"""What was seen: readings and silences, sessions, runs, and what operators ordered."""

from __future__ import annotations

import enum
from dataclasses import dataclass

EVERYONE = "*"
"""The target that stands for sessions recognised as a migration's but never registered."""


class Dimension(enum.StrEnum):
    """What a number measures; a limit must be of the same dimension as its metric."""

    SECONDS = "seconds"
    BYTES = "bytes"
    COUNT = "count"
    RATIO = "ratio"


@dataclass(frozen=True, slots=True)
class Reading:
    """A measured value, in the base unit of its dimension (seconds, bytes, a count, 0..1)."""

    sensor: str
    value: float
    taken_at: float
    detail: str = ""
    """Words that say where the value comes from, such as the standby that is slowest."""
    caused_by: frozenset[int] = frozenset()
    """Process ids of the sessions whose doing it is, where the source can tell."""


@dataclass(frozen=True, slots=True)
class Silence:
    """The stated absence of a value. It is never a zero."""

    sensor: str
    why: str
    taken_at: float
    at_least: float | None = None
    """A part that was measured all the same: one standby is missing, another is 90 s behind. The true value is this or
    worse, so it may prove a breach and can never prove that all is well."""
    abstains: bool = False
    """The source is well and was asked, and has too little to go by, such as too little traffic. No fault of anything:
    neither a breach, nor a proof that all is well, nor a case of `no_data`."""


Sample = Reading | Silence


@dataclass(frozen=True, slots=True)
class Session:
    """A server process, with the fingerprint by which it may be cancelled without hitting its successor."""

    pid: int
    backend_start_wall: float
    usename: str
    application_name: str
    state: str = ""
    run_id: int | None = None
    in_state: float = 0.0
    """Seconds since its state changed, when it was seen."""
    at_work: float = 0.0
    """Seconds since its transaction began; 0 where it is in none."""
    writes: bool = False
    """Its transaction has changed something."""
    asks: bool = False
    """Its statement is a question to the guard, or was the last one."""
    sleeps: bool = False
    """It waits for time to pass, as who waits to be let go on does in SQL."""
    gentle: str = ""
    """Its statement, where that is one of those that are left to finish."""
    holds: str = ""
    """What it holds while it idles in a transaction, in words; locks of system catalogs are not counted."""

    @property
    def words(self) -> str:
        """For people: which session it is."""
        return f"pid {self.pid} ({self.usename}, {self.application_name or 'no application_name'})"


@dataclass(frozen=True, slots=True)
class Fence:
    """A section in which a run must not be cancelled, as its client declared it; times by the server's clock."""

    what: str
    since_wall: float
    until_wall: float


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a migration as its own client registered it."""

    run_id: int
    migration: str
    session: Session | None
    """None when the registered session no longer exists."""
    registered_wall: float
    last_seen_wall: float
    acknowledged_epoch: int = 0
    rows_done: int = 0
    batches_done: int = 0
    note: str = ""
    outcome: str | None = None
    """None while it runs; then `done`, `failed`, `aborted`, `gone`."""
    pooled: bool = False
    """Behind a transaction pooler: the session may serve the application by now, so nothing of it is cancelled."""
    fence: Fence | None = None
    """Declared last; one that is over time is no fence."""
    members: tuple[Session, ...] = ()
    """Sessions beside the registered one that are recognised, named `migration:NAME` and of the same role: those of a
    tool that the run has started. Only while the registered one is there, and never behind a pooler."""

    @property
    def sessions(self) -> tuple[Session, ...]:
        """All of them."""
        return (*((self.session,) if self.session is not None else ()), *self.members)


@dataclass(frozen=True, slots=True)
class OperatorOrder:
    """A human's word about one migration or about all (`*`): `pause`, `abort`, `override`, `mute`."""

    order_id: int
    kind: str
    migration: str
    owner: str
    reason: str
    created_wall: float
    expires_wall: float | None = None
    rule: str | None = None
    """Only for `mute`: the rule that is not to be listened to."""


@dataclass(frozen=True, slots=True)
class Roster:
    """Who is here: runs that have not ended, sessions recognised as a migration's, and what operators ordered."""

    runs: tuple[Run, ...]
    strangers: tuple[Session, ...]
    """Recognised by role and name, registered by nobody."""
    operator_orders: tuple[OperatorOrder, ...]
    forgotten: tuple[tuple[str, int], ...]
    """(migration, last run id) that a human has declared forgotten."""
    taken_at: float
    server_wall: float
