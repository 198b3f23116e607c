"""What a guard needs from the world, as protocols, and the values that cross between them.

They stand below every room, so that poll, act and tell may speak of the values without knowing the cycle that uses
them. That an adapter fits its protocol is proved by the type checker where it is wired.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from guard.model import (
    Answer,
    Check,
    Event,
    Kept,
    Notice,
    OperatorOrder,
    Order,
    Roster,
    Rule,
    Run,
    Sample,
    Session,
    State,
)


@dataclass(frozen=True, slots=True)
class Observation:
    """What one visit of a probe brought home."""

    samples: tuple[Sample, ...] = ()
    roster: Roster | None = None


class Probe(Protocol):
    """Looks at one part of the world. Never raises for what the world does: it returns silences with the reason."""

    name: str
    cheap: bool
    """Goes on at poll speed while the guard is dormant."""

    async def poll(self) -> Observation: ...

    def silence(self, why: str, now: float) -> Observation:
        """What to put on the board when a poll missed its deadline or failed in an unforeseen way."""

    async def close(self) -> None: ...


class History(Protocol):
    """A source that can be asked for the past: what a rule would have read then."""

    source: str
    """For people: `Prometheus`."""

    async def samples(self, since_wall: float, until_wall: float) -> Sequence[tuple[float, float]]:
        """(Unix time, value in the base unit of the rule's dimension), as many as are there, in any order.

        Within a deadline of its own. Raises Refused with the reason where there is no answer to go by.
        """


RECENTLY = 600.0
"""Seconds of which a guard that begins to lead wants to know what was done."""


@dataclass(frozen=True, slots=True)
class Done:
    """Something that a guard has done, by its trail of events."""

    event_id: int
    kind: str
    """`cancelled`, `paused` or `warned`."""
    migration: str
    age: float
    """Seconds."""
    told: bool


@dataclass(frozen=True, slots=True)
class Leadership:
    term: int
    epoch: int
    """Greatest epoch that this database has seen; orders go on from here."""
    states: tuple[State, ...]
    """Last recorded state of each run that has not ended, from the events in the database."""
    last_event_id: int
    home: str = ""
    """Which server on which timeline it is; another one than before makes all that was read there worthless."""
    place: str = ""
    """The same for people: `db2 (timeline 6)`."""
    recent: tuple[Done, ...] = ()
    """What was done of late with migrations that nobody has forgotten since, oldest first."""


@dataclass(frozen=True, slots=True)
class Publication:
    """Beat and orders in one: a guard that cannot write its order cannot beat."""

    mode: str
    """`live`, `dormant`, `observing` or `released`."""
    epoch: int
    orders: Mapping[str, Order]
    rests_for: float
    """Age in seconds of the oldest reading that the orders rest on; shortens the lease."""
    events: tuple[Event, ...] = ()
    admitted: tuple[int, ...] = ()
    barred: tuple[tuple[int, str, str], ...] = ()
    """(run id, migration, because) of runs that may not go on until a human forgets them."""
    report: Mapping[str, object] | None = None
    judged_at: float | None = None
    """When what stands here was judged, by the monotonic clock: a process that is frozen before it has sent it must not
    send it when it wakes. None: just now."""


class Signal(Protocol):
    """The control table: leads by term, beats, orders. All raise Fenced once a newer term exists, ServerError else."""

    @property
    def usable(self) -> bool:
        """Whether the session that led is there, as far as is known without asking."""

    async def lead(self) -> Leadership: ...

    async def publish(self, publication: Publication) -> int:
        """Write beat, orders, events, admissions in one transaction; returns the last event id written (0: none)."""

    async def still_leads(self) -> None:
        """Ask whether this session still leads, without writing: the sign of life of a guard that does not beat."""

    async def prune(self, keep_seconds: float) -> int:
        """Drop events that are older, but for runs that are open or barred; how many."""

    async def notices_since(self, event_id: int) -> tuple[Notice, ...]:
        """Notices that events after this one carry, oldest first: what a killed guard may not have queued."""

    async def told_orders(self) -> tuple[OperatorOrder, ...]:
        """Operators' orders that were in force when the guard before last reported, and that it has told."""

    async def claim_rollback(self, run: Run, because: str, command: Sequence[str]) -> bool:
        """Durably (synchronous_commit = on) claim the one rollback of a run. False: it was claimed before."""

    async def finish_rollback(self, run_id: int, outcome: str, detail: str) -> None: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Ended:
    session: Session
    how: str
    """`cancelled`, `terminated`, `already gone`, `refused`."""
    gone: bool
    """Verified: it no longer blocks anyone."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class CancelReport:
    ended: tuple[Ended, ...] = ()
    queued: int = 0
    """Sessions that waited behind the migration when it was looked at again."""
    nothing_because: str = ""
    root: str = ""
    """The root blocker in words, where the migration itself was waiting for somebody."""
    leftovers: tuple[str, ...] = ()
    """What the cancel left behind, each with the statement that mends it."""
    spared: tuple[str, ...] = ()
    """Statements that hold others up and were left to finish, each with its session: cancelled they leave damage."""


class Canceller(Protocol):
    """Ends what the migration is doing; never anybody else's work."""

    async def ready(self) -> None:
        """Have the connection that cancels open before it is needed: there may be no other left by then."""

    async def clear_queue(self, rule: Rule, roster: Roster, *, terminate: bool) -> CancelReport:
        """Look again, and cancel (or terminate) the migration's sessions that hold up the queue by this rule."""

    async def end_run(self, run: Run, *, terminate: bool) -> CancelReport:
        """End every session of a run, before its rollback."""

    async def stop(self, run: Run, *, terminate: bool) -> CancelReport:
        """Cancel what the sessions of a run do in spite of a pause, or end those; idle ones stay."""

    async def close(self) -> None: ...


class PauseGate(Protocol):
    """Advisory locks that stand for the pause, for migrations that ask by lock."""

    def want(self, names: frozenset[str]) -> None: ...

    @property
    def held(self) -> frozenset[str]:
        """Names whose lock is had: no batch of theirs is in flight."""

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class HookOutcome:
    ok: bool
    words: str
    """`exit 0 after 3.2 s`, `killed after its timeout of 5 min`."""
    output: str = ""
    unverified: bool = False
    """The hook says that all is well, and the database does not."""
    withheld: bool = False
    """It was not run, since what called for it is over."""


class Hook(Protocol):
    @property
    def command(self) -> tuple[str, ...]: ...

    @property
    def timeout(self) -> float:
        """Seconds that the hook may take."""

    async def run(self, facts: Mapping[str, object]) -> HookOutcome:
        """Run the rollback hook to its end or its timeout; never raises for what the hook does."""

    def last_outcome(self, run_id: int) -> HookOutcome | None:
        """What the hook's result file says of a run, for a daemon that was restarted meanwhile."""

    def begun(self, run_id: int) -> bool:
        """Whether there is any sign on this machine that the hook of a run was started, or asked for."""


class Verifier(Protocol):
    """Looks whether a rollback has had its effect, where a hook says that it went well."""

    async def doubt(self) -> str:
        """Why the rollback cannot be taken as done; empty where it can. Never raises."""


class Checker(Protocol):
    """Asks the checks of the data that the configuration names."""

    async def ask(self, checks: Sequence[Check], *, within: float) -> tuple[Answer, ...]:
        """An answer to each, in their order, within so many seconds. Never raises for what they do."""


class Journal(Protocol):
    """The flight recorder on local disk. Never raises: a full disk must not stop the guard."""

    def save(self, states: Sequence[State], notices: Sequence[Notice], last_event_id: int) -> None: ...

    def states(self) -> tuple[State, ...]: ...

    def last_event_id(self) -> int:
        """Newest event whose notice is known to be here; 0 for a new journal."""

    def add_missing(self, notices: Sequence[Notice]) -> None:
        """Queue notices that are not here yet, by their ids."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What one step judged and decided on, for the flight recorder."""

    wall: float
    body: Mapping[str, object]
    """A JSON object: what has changed since the frame before, or all of it where *whole*."""
    runs: tuple[tuple[str, int | None], ...]
    """(migration, run id) of those it speaks of."""
    whole: bool
    urgent: bool
    """Something was decided: to be written at once."""


RECORDER = "the flight recorder"
"""Its name among the troubles."""
PAGE = "the status page"
"""Likewise."""


@dataclass(frozen=True, slots=True)
class Hands:
    """Everything that a guard acts through."""

    signal: Signal
    canceller: Canceller
    gate: PauseGate
    journal: Journal
    hooks: Mapping[str, Hook] = field(default_factory=dict)
    """By migration; `*` for those without one of their own."""
    verifiers: Mapping[str, Verifier] = field(default_factory=dict)
    """By migration as `hooks`; not every hook has one."""
    checker: Checker | None = None
    """None: nobody is asked, and no check can be answered."""
    troubles: Callable[[], Mapping[str, str]] = dict
    """Why people are not reached at the moment, by channel, or RECORDER not written; what works is not in it."""
    histories: Mapping[str, History] = field(default_factory=dict)
    """By rule: asked once as a run begins, where the guard's own readings are too few for a baseline."""
    keep: Callable[[Kept], None] = lambda _: None
    """Writes down the readings that baselines are made of. Never raises; a full disk loses them and nothing else."""
    kept: Callable[[], Kept] = Kept
    told_last: Callable[[Collection[str]], Notice | None] = lambda _: None
    """The newest notice of these kinds that people were told of this database, by a guard before this one too."""
    """What was written down last. Never raises."""
    record: Callable[[Frame], None] = lambda _: None
    """The flight recorder. Never raises, and takes no longer for a disk that is full."""
