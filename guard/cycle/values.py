"""What crosses between the cycle and its caller: what a guard is told to do, and what a step leaves to be done."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field

from guard.cycle.chores import QueueCleared, RolledBack, Stopped, WayFree
from guard.cycle.drift import Remembered
from guard.cycle.inquests import Verified
from guard.decide.bounds import USUAL_BOUNDS, Bounds
from guard.judge.baselines import Gathering
from guard.model import Check, Rule
from guard.model.patterns import entry_for
from guard.model.sensors import METRICS

Key = tuple[str, int | None]
"""Of a run: its migration and its id."""
Result = QueueCleared | RolledBack | Stopped | WayFree


@dataclass(frozen=True, slots=True)
class Options:
    """What the configuration says of one database's guard."""

    database: str
    rules: tuple[Rule, ...]
    observing: bool = False
    soak: Mapping[str, float] = field(default_factory=dict)
    """Seconds by migration, or by a pattern of names; `*` for the rest."""
    auto_rollback: bool = False
    """Whether a rollback may fire by itself in the soak."""
    own_auto_rollback: Mapping[str, bool] = field(default_factory=dict)
    """The same for migrations that have a hook of their own."""
    bounds: Bounds = USUAL_BOUNDS
    gathering: Gathering = field(default_factory=Gathering)
    """Of the readings that baselines are made of."""
    checks: Mapping[str, tuple[Check, ...]] = field(default_factory=dict)
    """What is asked about the data before and after a run, by migration as `soak`."""
    standbys: tuple[str, ...] | int | None = None
    """Who must stream, by name, or how many of whatever name; None: it is not known here."""
    aside: tuple[str, ...] = ()
    """Standbys that are asked themselves, since the primary need not show them."""
    grace: float = 30.0
    """Seconds that a run may take to keep to a pause."""
    let_finish: bool = True
    """Leave what a cancel would break to its end."""

    def soak_of(self, migration: str) -> float:
        """Seconds."""
        return entry_for(self.soak, migration) or 0.0

    def fires_in_soak(self, migration: str) -> bool:
        """Whether its rollback may fire by itself after it has ended well."""
        own = entry_for(self.own_auto_rollback, migration)
        return self.auto_rollback if own is None else own

    def checks_of(self, migration: str) -> tuple[Check, ...]:
        """Of its data."""
        return entry_for(self.checks, migration) or ()

    @property
    def expected(self) -> tuple[tuple[str, ...] | int | None, tuple[str, ...]]:
        """The standbys that must stream, and those of them that need not stream from the primary itself."""
        return self.standbys, self.aside

    @property
    def loads(self) -> frozenset[str]:
        """Rules whose signal shows load, and does not go down by itself once nothing is written."""
        return frozenset(r.name for r in self.rules if r.metric not in METRICS or not METRICS[r.metric].drains)


@dataclass(frozen=True, slots=True)
class Chore:
    """An act that takes its time: to be run beside the next steps, its result handed to `Guard.done`."""

    kind: str
    key: Key
    """The run; of a queue, the rule by which it is one, since clearing it concerns every run in it."""
    work: Coroutine[object, object, Result | Remembered | Verified | None]


@dataclass(frozen=True, slots=True)
class Step:
    """What a step leaves to its caller."""

    due: float | None
    """When to step again although nothing was heard; monotonic seconds."""
    chores: tuple[Chore, ...]
