"""What is to be seen in a guarded database, read in one go: the guard, its report, the runs, operators' orders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from guard.errors import WrongServer
from guard.judge.quantities import say_seconds
from guard.sql import get

if TYPE_CHECKING:
    from guard.postgres import Door


@dataclass(frozen=True, slots=True)
class GuardSeen:
    """Columns of cli_guard.sql; ages in seconds by the server's clock."""

    standby: bool
    now_wall: float
    guard_id: str | None
    term: int | None
    epoch: int | None
    beat: int | None
    mode: str | None
    beat_age: float | None
    remaining: float | None
    report: Mapping[str, Any] | None
    report_age: float | None
    leader: str | None
    led: bool
    """A session has the leader's lock."""

    @property
    def state(self) -> str:
        """`live`, `observing`, `dormant`, `released`, `dead`, or `none`: no lease at all."""
        if self.mode is None or self.remaining is None:
            return "none"
        if self.mode == "released":
            return self.mode
        # While nobody migrates a guard does not beat, on purpose: it is there as long as its session leads.
        resting = self.led and self.mode in {"dormant", "observing"}
        beating = self.remaining > 0 and self.mode != "dormant"
        return self.mode if resting or beating else "dead"

    @property
    def works(self) -> bool:
        """Whether a guard is there."""
        return self.state in {"live", "observing", "dormant"}

    @property
    def words(self) -> str:
        beat = say_seconds(max(0.0, self.beat_age or 0.0))
        match self.state:
            case "live":
                return f"guard {self.guard_id} is live (last beat {beat} ago, term {self.term}, epoch {self.epoch})"
            case "observing":
                how = "" if (self.remaining or 0.0) > 0 else " and rests until a migration registers"
                return f"guard {self.guard_id} only observes{how} (last beat {beat} ago): it orders nothing"
            case "dormant":
                return f"guard {self.guard_id} is dormant: no migration is running, a registration wakes it"
            case "released":
                return f"guard {self.guard_id} was stopped {beat} ago; migrations hold by themselves"
            case "dead" if self.mode == "observing":
                return f"guard {self.guard_id}, which only observed, has gone (last beat {beat} ago); that holds nobody"
            case "dead" if self.mode == "dormant":
                return f"guard {self.guard_id} is DEAD: it has gone while no migration ran; a new one holds by itself"
            case "dead":
                over = say_seconds(max(0.0, -(self.remaining or 0.0)))
                return (
                    f"guard {self.guard_id} is DEAD: silent for {beat}, its lease ended {over} ago; "
                    "migrations hold by themselves"
                )
            case _:
                known = f" (the last one was {self.leader})" if self.leader else ""
                return f"NO GUARD has spoken since this server started{known}; migrations hold by themselves"


@dataclass(frozen=True, slots=True)
class OrderSeen:
    """Columns of cli_orders.sql."""

    order_id: int
    kind: str
    migration: str
    rule: str | None
    owner: str
    reason: str
    since_wall: float
    until_wall: float | None

    def concerns(self, migration: str | None) -> bool:
        return migration is None or self.migration in {"*", migration}


@dataclass(frozen=True, slots=True)
class RunSeen:
    """Columns of cli_runs.sql."""

    run_id: int
    migration: str
    pid: int
    usename: str
    application_name: str
    rows_done: int
    batches_done: int
    note: str
    registered_wall: float
    last_seen_wall: float
    acknowledged_epoch: int
    outcome: str | None
    outcome_detail: str | None
    ended_wall: float | None
    pooled: bool
    on_guard_lost: str
    admitted: bool
    here: bool
    told: str | None
    because: str | None
    source: str | None
    barred_because: str | None
    rollback_outcome: str | None
    rollback_claimed: bool
    observed: bool = False
    """The guard only observed it, by its last word: what it decided was not ordered."""


@dataclass(frozen=True, slots=True)
class View:
    """Everything at one moment."""

    guard: GuardSeen
    runs: tuple[RunSeen, ...]
    orders: tuple[OrderSeen, ...]

    def reported(self, run: RunSeen) -> Mapping[str, Any]:
        """What the guard last reported of a run; empty where it has not."""
        reports = (self.guard.report or {}).get("runs", [])
        return next((each for each in reports if each.get("run_id") == run.run_id), {})

    @property
    def stay_paused(self) -> tuple[str, ...]:
        """Migrations that the guard keeps paused because they were paused too often."""
        reports = (self.guard.report or {}).get("runs", [])
        return tuple(dict.fromkeys(str(each.get("migration")) for each in reports if each.get("stays")))

    def others(self, migration: str | None) -> tuple[Mapping[str, Any], ...]:
        """What the guard reported of targets without an open run: unregistered sessions, and runs in their soak."""
        known = {run.run_id for run in self.runs}
        reports = (self.guard.report or {}).get("runs", [])
        return tuple(
            each
            for each in reports
            if each.get("run_id") not in known
            and each.get("phase") != "done"
            and migration in {None, "*", each.get("migration")}
        )


async def view(door: Door, migration: str | None = None) -> View:
    """Look at the runs that go on (of one migration) and all that bears on them. Raises WrongServer, ServerError."""
    if (await door.fetch("select pg_is_in_recovery()"))[0][0]:
        raise WrongServer(
            "This server is a standby, where the guard's word cannot be read: give the primary's address."
        )
    guard = (await door.fetch_as(GuardSeen, get("cli_guard")))[0]
    open_runs = tuple(run for run in await runs(door, migration, most=1000, only_open=True) if run.here)
    orders = await door.fetch_as(OrderSeen, get("cli_orders"))
    return View(guard, open_runs, tuple(order for order in orders if order.concerns(migration)))


async def runs(
    door: Door, migration: str | None, *, most: int, only_open: bool, run_id: int | None = None
) -> tuple[RunSeen, ...]:
    """The newest runs, of one migration or only one run. Raises ServerError."""
    parameters = {"migration": migration, "open": only_open, "most": most, "run_id": run_id}
    return tuple(await door.fetch_as(RunSeen, get("cli_runs"), parameters))
