"""What it means: verdicts, and a finding for each migration."""

from __future__ import annotations

import enum
from dataclasses import dataclass


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
    harms: bool | None = False
    """Whether the newest reading breaches the rollback limit, for however short a time; None: nobody knows."""
    taken_at: float | None = None
    """Of the sample that it rests on; bounds the lease."""
    resume: str = ""
    """What would let the migration go on, in words."""
    caused_by: frozenset[int] = frozenset()
    """Process ids of the sessions whose doing it is; empty where nobody can tell."""
    baseline: str = ""
    """What its limits are measured against, in words, or why there is none; empty where they ask for none."""
    well_at: float | None = None
    """The earliest moment at which it may be well; None where it is, or where nobody can tell."""


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
