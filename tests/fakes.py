"""Stand-ins for the world at the protocols of guard.ports: each records what it was told and answers what it is set to.

They decide nothing, so a test that passes has been passed by the code under test.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

from guard.cycle import Chore, Guard, Options, Step
from guard.errors import GuardError
from guard.judge.conditions import complement, parse_condition
from guard.model import (
    Dimension,
    NoData,
    Notice,
    OperatorOrder,
    Order,
    Reading,
    Roster,
    Rule,
    Run,
    Sample,
    Session,
    Silence,
    State,
)
from guard.ports import CancelReport, Hands, HookOutcome, Leadership, Observation, Publication

T = TypeVar("T")

WALL = 1_700_000_000.0
"""Unix time at monotonic second 0 of a test."""


@dataclass
class FakeSignal:
    """Accepts everything until `fails` is set."""

    leadership: Leadership = field(default_factory=lambda: Leadership(1, 0, (), 0))
    fails: GuardError | None = None
    lead_fails: GuardError | None = None
    claimed: bool = False
    led: int = 0
    published: list[Publication] = field(default_factory=list)
    refused: list[Publication] = field(default_factory=list)
    claims: list[tuple[int, str, tuple[str, ...]]] = field(default_factory=list)
    finished: list[tuple[int, str, str]] = field(default_factory=list)
    missed: tuple[Notice, ...] = ()
    told: tuple[OperatorOrder, ...] = ()
    asked_since: list[int] = field(default_factory=list)
    pruned: list[float] = field(default_factory=list)
    events: int = 0
    signs: int = 0
    usable: bool = True

    async def lead(self) -> Leadership:
        if self.lead_fails is not None:
            raise self.lead_fails
        self.led += 1
        return self.leadership

    async def publish(self, publication: Publication) -> int:
        if self.fails is not None:
            self.refused.append(publication)
            raise self.fails
        self.published.append(publication)
        self.events += len(publication.events)
        return self.events if publication.events else 0

    async def still_leads(self) -> None:
        self.signs += 1
        if self.fails is not None:
            raise self.fails

    async def prune(self, keep_seconds: float) -> int:
        self.pruned.append(keep_seconds)
        return 0

    async def notices_since(self, event_id: int) -> tuple[Notice, ...]:
        self.asked_since.append(event_id)
        return self.missed

    async def told_orders(self) -> tuple[OperatorOrder, ...]:
        return self.told

    async def claim_rollback(self, run: Run, because: str, command: Sequence[str]) -> bool:
        if self.fails is not None:
            raise self.fails
        self.claims.append((run.run_id, because, tuple(command)))
        first, self.claimed = not self.claimed, True
        return first

    async def finish_rollback(self, run_id: int, outcome: str, detail: str) -> None:
        if self.fails is not None:
            raise self.fails
        self.finished.append((run_id, outcome, detail))

    async def close(self) -> None: ...


@dataclass
class FakeCanceller:
    """Answers with the reports it is given, in turn; the last one again and again."""

    reports: list[CancelReport | GuardError] = field(default_factory=lambda: [CancelReport()])
    cleared: list[tuple[str, bool]] = field(default_factory=list)
    saw: list[Roster] = field(default_factory=list)
    ended: list[tuple[int, bool]] = field(default_factory=list)
    stopped: list[tuple[int, bool]] = field(default_factory=list)

    async def ready(self) -> None: ...

    async def clear_queue(self, rule: Rule, roster: Roster, *, terminate: bool) -> CancelReport:
        self.cleared.append((rule.name, terminate))
        self.saw.append(roster)
        return self._next()

    async def end_run(self, run: Run, *, terminate: bool) -> CancelReport:
        self.ended.append((run.run_id, terminate))
        return self._next()

    async def stop(self, run: Run, *, terminate: bool) -> CancelReport:
        self.stopped.append((run.run_id, terminate))
        return self._next()

    def _next(self) -> CancelReport:
        report = self.reports.pop(0) if len(self.reports) > 1 else self.reports[0]
        if isinstance(report, GuardError):
            raise report
        return report

    async def close(self) -> None: ...


@dataclass
class FakeGate:
    wanted: frozenset[str] = frozenset()
    had: frozenset[str] = frozenset()

    def want(self, names: frozenset[str]) -> None:
        self.wanted = names

    @property
    def held(self) -> frozenset[str]:
        return self.had

    async def close(self) -> None: ...


@dataclass
class FakeHook:
    outcome: HookOutcome = field(default_factory=lambda: HookOutcome(True, "exit 0 after 1 s"))
    known: HookOutcome | None = None
    started: frozenset[int] = frozenset()
    """Runs for which a former daemon has started it."""
    asked: list[int] = field(default_factory=list)
    runs: list[Mapping[str, object]] = field(default_factory=list)
    before: Callable[[], None] = lambda: None
    """Called when the hook starts, so that a test can see what had been done by then."""

    @property
    def command(self) -> tuple[str, ...]:
        return ("/etc/rollback", "now")

    @property
    def timeout(self) -> float:
        return 60.0

    async def run(self, facts: Mapping[str, object]) -> HookOutcome:
        self.before()
        self.runs.append(facts)
        return self.outcome

    def last_outcome(self, run_id: int) -> HookOutcome | None:
        self.asked.append(run_id)
        return self.known

    def begun(self, run_id: int) -> bool:
        return run_id in self.started or any(facts["run_id"] == run_id for facts in self.runs)


@dataclass
class FakeJournal:
    kept: tuple[State, ...] = ()
    notices: list[Notice] = field(default_factory=list)
    saves: list[tuple[tuple[State, ...], int]] = field(default_factory=list)
    event_id: int = 0

    def save(self, states: Sequence[State], notices: Sequence[Notice], last_event_id: int) -> None:
        self.kept, self.event_id = tuple(states), last_event_id
        self.saves.append((self.kept, last_event_id))
        self.notices.extend(notices)

    def states(self) -> tuple[State, ...]:
        return self.kept

    def last_event_id(self) -> int:
        return self.event_id

    def told_last(self, kinds: Collection[str]) -> Notice | None:
        return next((notice for notice in reversed(self.notices) if notice.kind in kinds), None)

    def add_missing(self, notices: Sequence[Notice]) -> None:
        self.notices.extend(notices)


def make_rule(name: str = "lag", *, pause: str = "> 5s for 3s", **more: object) -> Rule:
    """A rule on seconds; `cancel=`, `rollback=`, `warn=` and `resume=` are texts of conditions."""
    texts = {key: more.pop(key) for key in ("warn", "cancel", "rollback", "resume") if key in more}
    parsed = {key: parse_condition(str(text)) for key, text in texts.items()}
    breach = parse_condition(pause) if pause else next(iter(parsed.values()))
    rule = Rule(
        name=name,
        sensor=f"{name} sensor",
        metric=name,
        dimension=Dimension.SECONDS,
        resume=parsed.get("resume") or complement(breach),
        warn=parsed.get("warn"),
        pause=breach if pause else None,
        cancel=parsed.get("cancel"),
        rollback=parsed.get("rollback"),
        no_data=NoData(str(more.pop("no_data", "pause"))),
        migrations=tuple(more.pop("migrations", ())),  # type: ignore[arg-type]
    )
    assert not more, f"unknown: {more}"
    return rule


def a_session(pid: int, run_id: int | None = None) -> Session:
    return Session(pid, WALL, "migrator", "migration:m", "active", run_id)


def a_run(run_id: int = 1, migration: str = "m", *, here: bool = True, **more: object) -> Run:
    session = a_session(1000 + run_id, run_id) if here else None
    return Run(run_id, migration, session, WALL, WALL, **more)  # type: ignore[arg-type]


class World:
    """A guard among fakes, and a clock that only a test moves."""

    def __init__(self, *rules: Rule, hook: FakeHook | None = None, **options: object) -> None:
        self.now = 100.0
        self.clock_set_by = 0.0
        self.signal, self.canceller, self.gate = FakeSignal(), FakeCanceller(), FakeGate()
        self.journal, self.hook = FakeJournal(), hook
        self.runs: list[Run] = []
        self.strangers: list[Session] = []
        self.orders: list[OperatorOrder] = []
        self.forgotten: list[tuple[str, int]] = []
        self.values: dict[str, float | Silence | None] = {rule.sensor: 0.0 for rule in rules}
        self.options = Options("main", rules, **options)  # type: ignore[arg-type]
        self.chores: list[Chore] = []
        self.ids = 0
        self.guard = self.new_guard()

    def new_guard(self) -> Guard:
        """A guard as after a restart: same world, same journal, no memory of its own."""
        hooks = {"*": self.hook} if self.hook else {}
        told = self.journal.told_last
        hands = Hands(self.signal, self.canceller, self.gate, self.journal, hooks, told_last=told)
        self.guard = Guard(self.options, hands, self._new_id)
        return self.guard

    def _new_id(self) -> str:
        self.ids += 1
        return f"notice {self.ids}"

    @property
    def wall(self) -> float:
        return WALL + self.now + self.clock_set_by

    def roster(self) -> Roster:
        return Roster(
            tuple(self.runs), tuple(self.strangers), tuple(self.orders), tuple(self.forgotten), self.now, self.wall
        )

    def look(self) -> None:
        """Every probe looks once; a value of None stands for a probe that hangs."""
        samples: list[Sample] = []
        for sensor, value in self.values.items():
            if isinstance(value, Silence):
                samples.append(value)
            elif value is not None:
                samples.append(Reading(sensor, value, self.now))
        self.guard.put(Observation(tuple(samples), self.roster()))

    def step(self) -> Step:
        """One step without a look; its chores wait in `chores`."""
        at_once(self.guard.lead_again(self.now, self.wall))
        step = at_once(self.guard.step(self.now, self.wall))
        self.chores.extend(step.chores)
        return step

    def work(self) -> None:
        """Carry out the chores that wait."""
        chores, self.chores = self.chores, []
        for chore in chores:
            self.guard.done(chore, at_once(chore.work))

    def tick(self, seconds: float = 1.0, *, by: float = 1.0) -> None:
        """Let time pass: look, step and work every `by` seconds."""
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.now += by
            self.look()
            self.step()
            if self.chores:
                self.work()
                self.step()

    def drop_chores(self) -> None:
        """A kill: what was under way never ends."""
        for chore in self.chores:
            chore.work.close()
        self.chores = []

    # -- what the world has seen ---------------------------------------------------------------------------------------

    @property
    def phases(self) -> dict[str, str]:
        return {state.migration: state.phase.value for state in self.guard.states.values()}

    def order(self, migration: str = "m") -> Order | None:
        """The order that a migration finds now."""
        return self.signal.published[-1].orders.get(migration)

    def word(self, migration: str = "m") -> str:
        order = self.order(migration)
        return order.kind.word if order else "none"

    def told(self) -> list[str]:
        return [notice.kind for notice in self.journal.notices]

    def events(self) -> list[str]:
        return [event.kind for publication in self.signal.published for event in publication.events]


def at_once(work: Coroutine[object, object, T]) -> T:
    """The result of a coroutine among fakes, which never wait; an event loop a step would be most of a test's time."""
    try:
        work.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    raise AssertionError("a fake waited")


def an_order(kind: str, migration: str = "m", order_id: int = 1, **more: object) -> OperatorOrder:
    return OperatorOrder(order_id, kind, migration, "ada", "because I say so", WALL, **more)  # type: ignore[arg-type]
