"""The nouns of the house: frozen values that every room speaks in. No behaviour beyond reading one's own fields.

Three clocks, never mixed. `taken_at`, `since`, `due`, `now` are seconds of the daemon's monotonic clock: they measure
durations and mean nothing outside the process. Names that end in `_wall` are Unix time: for people and for what must
survive a restart. Leases live by the server's clock and never leave it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

EVERYONE = "*"
"""The target that stands for sessions recognised as a migration's but never registered."""


# -- what was seen -----------------------------------------------------------------------------------------------------


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


@dataclass(frozen=True, slots=True)
class Silence:
    """The stated absence of a value. It is never a zero."""

    sensor: str
    why: str
    taken_at: float
    at_least: float | None = None
    """A part that was measured all the same: one standby is missing, another is 90 s behind. The true value is this or
    worse, so it may prove a breach and can never prove that all is well."""


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


class OrderKind(enum.IntEnum):
    """What a migration is told; a greater one is graver."""

    PROCEED = 0
    PAUSE = 1
    ABORT = 2

    @property
    def word(self) -> str:
        return self.name.lower()


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


# -- what is wanted ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Limit:
    """`5s`, `64MB`, `1%`, or one relative to a baseline: `1.5x baseline` (factor) or `baseline + 20ms` (offset)."""

    text: str
    value: float
    """Base unit of the dimension; the factor or the offset where `kind` says so."""
    kind: str = "absolute"
    """`absolute`, `factor` or `offset`."""


@dataclass(frozen=True, slots=True)
class Term:
    op: str
    """One of `>`, `>=`, `<`, `<=`."""
    limit: Limit


@dataclass(frozen=True, slots=True)
class Condition:
    """`> 1.5x baseline and > 200ms for 30s`: all terms (or any, for a complement), held for `duration` seconds."""

    text: str
    terms: tuple[Term, ...]
    duration: float = 0.0
    any_of: bool = False


class NoData(enum.StrEnum):
    """What silence of a rule's sensor means for the migration."""

    PAUSE = "pause"
    HOLD = "hold"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Rule:
    """What is measured and its limits. `sensor` is the key of its samples on the board."""

    name: str
    sensor: str
    metric: str
    """For people: `replication.lag`, `prometheus`, `http`."""
    dimension: Dimension
    resume: Condition
    warn: Condition | None = None
    pause: Condition | None = None
    cancel: Condition | None = None
    rollback: Condition | None = None
    no_data: NoData = NoData.PAUSE
    no_data_for: float = 3.0
    stale_after: float = 5.0
    databases: tuple[str, ...] = ()
    """Empty: all."""
    migrations: tuple[str, ...] = ()
    """Empty: all, the unregistered too."""
    waited: float = 2.0
    """Lock rules: a session counts once it has waited this long, in seconds."""
    query: str = ""
    """PromQL, or the URL of an HTTP rule."""
    json_path: str = ""
    """HTTP rules: dotted path of the number in the JSON answer."""
    scale: float = 1.0
    """Prometheus and HTTP rules: the answer times this is in the base unit (0.001 where it is in milliseconds)."""

    @property
    def stops(self) -> bool:
        """Whether this rule can ever hold a migration up; one that only warns cannot keep it paused either."""
        return bool(self.pause or self.cancel or self.rollback)


# -- what it means -----------------------------------------------------------------------------------------------------


class Level(enum.StrEnum):
    """What a rule says of its latest sample."""

    FINE = "fine"
    WARN = "warn"
    PAUSE = "pause"
    CANCEL = "cancel"
    ROLLBACK = "rollback"
    UNKNOWN = "unknown"


class Ask(enum.IntEnum):
    """What a verdict asks for the migration; of several, the greatest holds, so their order is of no account."""

    PROCEED = 0
    WARN = 1
    HOLD = 2
    """Stay as you are: a running migration runs on, a stopped one does not start."""
    PAUSE = 3
    CANCEL = 4
    ROLLBACK = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    rule: str
    level: Level
    ask: Ask
    because: str
    """Words and numbers, carried unchanged from here to the chat."""
    well: bool
    """The resume condition has held for its time (or the rule can stop nobody)."""
    settled: bool
    """Rests on a fresh reading, or on a silence that has lasted as long as its policy wants."""
    since: float | None = None
    """From when the breach or the silence has lasted."""
    due: float | None = None
    """When this verdict may change although no new sample comes."""
    measured: bool = False
    """Rests on a fresh, measured breach: without it nothing destructive may follow."""
    taken_at: float | None = None
    """Of the sample that it rests on; bounds the lease."""
    resume: str = ""
    """What would let the migration go on, in words."""


@dataclass(frozen=True, slots=True)
class Finding:
    """All verdicts that concern one migration, as one."""

    ask: Ask
    because: str
    verdicts: tuple[Verdict, ...]
    well: bool
    settled: bool
    due: float | None = None

    def asking(self, ask: Ask) -> tuple[Verdict, ...]:
        return tuple(v for v in self.verdicts if v.ask is ask)


# -- what follows ------------------------------------------------------------------------------------------------------


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
    """The pause has been acknowledged or was seen to hold."""
    cancels: int = 0
    """Cancelled or terminated this often in this run."""
    admitted: bool = False
    well_before: tuple[str, ...] = ()
    """Rules that were well when the run was admitted; only these may roll it back."""
    applied_since_wall: float | None = None
    """When the run was first seen to have applied something."""
    asked_human: bool = False
    soak_until_wall: float | None = None
    epoch: int = 0
    """Of the order that this phase gave; an acknowledgement of it or of a later one makes a pause effective."""


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
