"""What follows: phases, orders, what is remembered of a run, and what people are told."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from guard.model.account import NO_ACCOUNT, Account
from guard.model.checks import Found
from guard.model.drift import Baseline


class OrderKind(enum.IntEnum):
    """What a migration is told; a greater one is graver."""

    PROCEED = 0
    PAUSE = 1
    ABORT = 2

    @property
    def word(self) -> str:
        return self.name.lower()


class Phase(enum.StrEnum):
    """Where one run stands with its guard."""

    WAITING = "waiting"
    RUNNING = "running"
    STRAINED = "strained"
    PAUSED = "paused"
    ROLLING_BACK = "rolling back"
    ABORTED = "aborted"
    SOAKING = "soaking"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Order:
    kind: OrderKind
    because: str
    since_wall: float


@dataclass(frozen=True, slots=True)
class State:
    """What the guard remembers of one target; all of it survives a kill."""

    migration: str
    run_id: int | None
    phase: Phase
    because: str
    since_wall: float
    effective: bool = False
    """The pause holds: it has been acknowledged and nothing of the run is in flight, or nothing was for a while."""
    cancels: int = 0
    """Cancelled or terminated this often in this run."""
    ran: float = 0.0
    """Seconds at work since the last of these, up to the beginning of this phase."""
    admitted: bool = False
    well_before: tuple[str, ...] = ()
    """Rules that were well when the run was admitted; only these may roll it back."""
    applied_since_wall: float | None = None
    """When the run was first seen to have applied something."""
    breached_before: tuple[str, ...] = ()
    """Rules whose rollback limit may have been breached before that, and was not seen to be kept since."""
    asked_human: bool = False
    soak_until_wall: float | None = None
    pauses: tuple[float, ...] = ()
    """When it was paused of late, as Unix times; kept where the configuration limits how often that may be."""
    stays: str = ""
    """In what way it was paused too often: it stays paused until a human says otherwise. Empty: it was not."""
    effective_since_wall: float | None = None
    reminded: int = 0
    """How often people were told again that this pause lasts."""
    no_help: bool = False
    """They were told that this pause did not help."""
    unseen: tuple[str, ...] = ()
    """Rules of which they were told that nobody has seen their signal for long."""
    clearing: tuple[str, ...] = ()
    """Rules by which a queue behind it is being cleared."""
    rollback_by: tuple[str, ...] = ()
    """Rules by which its rollback fell due; one of them must still be breached when it begins."""
    baselines: tuple[Baseline, ...] = ()
    """What it is measured against: how it was before anybody began."""
    before: tuple[Found, ...] = ()
    """What came of the checks before it began; empty: they were not asked, or there are none."""
    after: tuple[Found, ...] = ()
    """The same after it had ended well."""
    epoch: int = 0
    """Of the order that this phase gave; an acknowledgement of it or of a later one makes a pause effective."""
    acknowledged_since_wall: float | None = None
    """When its client was first seen to have read of this pause."""
    broken: int = 0
    """How often it was seen at work again in this pause after that had been effective."""
    rungs: tuple[str, ...] = ()
    """What was done and told in this pause because it was not kept to (guard.decide.obeying)."""
    account: Account = NO_ACCOUNT
    """What befell it so far."""


class Severity(enum.StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that people are to be told, in order per run, at least once; `notice_id` lets them drop a duplicate."""

    notice_id: str
    at_wall: float
    database: str
    migration: str
    run_id: int | None
    kind: str
    """A reason code of a small fixed set: `paused`, `resumed`, `cancelled`, ... (see guard.decide.notices)."""
    severity: Severity
    headline: str
    because: str
    next_step: str = ""
    commands: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the audit trail in the guarded database; written in one transaction with the order it speaks of."""

    kind: str
    migration: str
    run_id: int | None
    because: str
    phase: str
    payload: Mapping[str, object] = field(default_factory=dict)
    """`state` (enough to take the run up again) and `notice` (enough to tell it again)."""
