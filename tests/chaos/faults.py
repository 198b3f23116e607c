"""What a fault is: a context manager over a scene, and what may and must follow from it. FAULTS has them by name.

A fault begins, lasts, and is healed by its own end; it checks nothing. The faults themselves enter themselves from
guard_faults, outside_faults and database_faults; `tests.chaos.kinds` has them all.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TypedDict, Unpack

from guard.demo.proxy import Proxy
from tests.acceptance.house import FRESH_FOR
from tests.chaos.place import Place
from tests.chaos.world import LEASE, POLL, World


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a fault happens."""

    world: World
    place: Place
    """For faults of one database."""
    index: int
    """Of the place."""
    dice: random.Random
    length: float


Act = Callable[[Scene], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """What can happen, and what follows from it. Times in seconds."""

    act: Act
    lengths: tuple[float, float]
    stops: float | None = None
    """No batch begins later than this after it; None: it need not stop anybody."""
    alone: bool = False
    """It concerns the scene's place only: the other goes on as if nothing were."""
    breaks: bool = False
    """The application itself may see errors."""
    cancels: bool = False
    """A migration's statement may be cancelled."""
    mute: bool = False
    """The guard may be unable to write what it decides, so that some notices stand in no audit trail."""
    worst: float | None = None
    """No request of the application takes longer."""
    flows: bool = False
    """Nobody may be held up by it."""

    def within(self, other: Fault) -> Fault:
        """Both at once: what either may do is allowed, and nothing is asked for that only one alone must keep."""
        breaks, cancels, mute = self.breaks or other.breaks, self.cancels or other.cancels, self.mute or other.mute
        return Fault(other.act, other.lengths, breaks=breaks, cancels=cancels, mute=mute)


BREACH = POLL + FRESH_FOR + 0.3
"""Seen at the next poll, judged and written at once, believed for `fresh_for`; and a moment for the web server."""
SILENT = 1.0 + 0.5 + 0.5 + BREACH
"""The probe's deadline and its overrun, `no_data = "pause for 500ms"`, then as a breach."""
STOPPED = FRESH_FOR + 1.5
"""The last word of a guard that is told to stop is one write, which has 1.5 s."""
LOST = LEASE + FRESH_FOR
FAULTS: dict[str, Fault] = {}


class Follows(TypedDict, total=False):
    """The fields of Fault that have a default."""

    stops: float | None
    alone: bool
    breaks: bool
    cancels: bool
    mute: bool
    worst: float | None
    flows: bool


def fault(
    name: str, lengths: tuple[float, float], **more: Unpack[Follows]
) -> Callable[[Callable[[Scene], Iterator[None]]], Act]:
    """Enter a generator function into FAULTS."""

    def enter(body: Callable[[Scene], Iterator[None]]) -> Act:
        act = contextmanager(body)
        FAULTS[name] = Fault(act, lengths, **more)
        return act

    return enter


_GROUPS = {
    "server": ("primary", "backend"),
    "rows": ("lease", "lock", "operator", "pg_monitor"),
    "source": ("metric", "Slack", "reload of a stricter"),
    "guard": ("guard", "reload of a wrong", "session", "line of the guard"),
    "migration": ("migration", "line of the migration"),
    "standby": ("standby", "walreceiver", "replay"),
}


def together(name: str, other: str) -> bool:
    """Whether one can happen within the other: not two of a thing, nor a crash within what holds a session open."""
    groups = {_group(name), _group(other)}
    return len(groups) == 2 and groups != {"server", "rows"} and not any("override" in each for each in (name, other))


def _group(name: str) -> str:
    return next(group for group, beginnings in _GROUPS.items() if name.startswith(beginnings))


def broken(line: Proxy, *, cut: bool) -> Iterator[None]:
    """The time in which a line is cut or frozen."""
    if cut:
        line.cut()
    else:
        line.freeze()
    try:
        yield
    finally:
        line.heal()
