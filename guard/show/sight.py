"""What can be seen of a running daemon, as values. `guard/daemon/sight.py` fills them in; nothing is decided here.

Ages are seconds before the moment of the look; times inside `report` are Unix seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from guard.tally import Tally


@dataclass(frozen=True, slots=True)
class Poll:
    """One probe of one database."""

    seconds: float | None
    """How long the last visit took; None: none has ended yet."""
    age: float
    """Seconds since an answer was heard; since the start where none was."""
    silences: int
    """Visits that ended without an answer in time, since the start."""
    visits: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a registered run has come, by its own word."""

    pid: int | None
    """None: its session is gone."""
    usename: str
    application_name: str
    rows_done: int
    batches_done: int
    note: str
    registered_wall: float
    last_seen_wall: float


@dataclass(frozen=True, slots=True)
class Standing:
    """An order that an operator has given and that is in force."""

    kind: str
    migration: str
    """`*`: every migration."""
    rule: str | None
    """Of a `mute`: the rule that is not to be listened to."""
    owner: str
    reason: str
    since_wall: float
    until_wall: float | None


@dataclass(frozen=True, slots=True)
class Seen:
    """One database, at one moment."""

    database: str
    guard_id: str
    mode: str
    """As in `status`: live, dormant, observing, released, dead."""
    leading: bool
    trouble: str
    """Why it cannot signal at the moment; empty when it can."""
    ended_because: str
    """Why nobody guards this database any more; empty while it is guarded."""
    judged_age: float
    """Seconds since the last judgement."""
    beat_age: float | None
    """Seconds since the last beat that was written; None: none was."""
    lease: float
    """Seconds that a beat is good for."""
    report: Mapping[str, Any]
    """What `status --json` calls "report": see guard.cycle.words.report."""
    polls: Mapping[str, Poll]
    """By the probe's name."""
    decision_seconds: float | None
    """How long the last step took from reading to decision; None: there was none yet."""
    progress: Mapping[int, Progress] = field(default_factory=dict)
    """By the id of the run."""
    orders: tuple[Standing, ...] = ()
    asked_age: float = 0.0
    """Seconds since the probe that has rested longest was asked: a sign of life of what drives them."""
    patience: float = 60.0
    """From so many seconds without a judgement, or without asking, the guard counts as stuck."""
    limits: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By rule and rung (`resume` too), in the base unit; what goes by a baseline alone is not in it."""
    tally: Tally = field(default_factory=Tally)
    """What has been counted until now."""
    journal_trouble: str = ""
    """Of the daemon's journal, which all its databases share; empty while it is written to its file."""
    reload_refused: str = ""
    """Why the daemon did not take up its changed configuration; empty where it did, or nobody asked it to."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One way on which people are told."""

    name: str
    waiting: int
    """Notices that have not arrived yet."""
    dead: int
    """Notices that were given up."""
    oldest_age: float | None
    """Seconds that the oldest of the waiting has waited; None: none waits."""
    trouble: str
    """Why it does not get through at the moment; empty when it does."""


class Sight(Protocol):
    """What a page may look at. Every call is cheap and takes from memory: it is made in the daemon's loop."""

    def look(self) -> tuple[Seen, ...]:
        """Every database, in the order of the file."""

    def channels(self) -> tuple[Channel, ...]:
        """Every channel on which people are told, in the order of their names."""

    async def changed(self) -> None:
        """Return once any guard has stepped again."""
