"""How a signal was before a run: what `1.5x baseline` is measured against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

OWN = "the guard's own readings"


@dataclass(frozen=True, slots=True)
class Baseline:
    """A robust figure of many samples. `value` and `spread` are in the base unit of the rule's dimension."""

    of: str
    """The question that its samples answer (`guard.judge.baselines.question`): rules that ask the same share it."""
    value: float
    """Their median."""
    spread: float
    """Their scaled median absolute deviation: of a normal distribution, its standard deviation."""
    count: int
    since_wall: float
    until_wall: float
    source: str = OWN


@dataclass(frozen=True, slots=True)
class Kept:
    """Readings of before a run, to be taken up again after a restart."""

    home: str = ""
    """Which server on which timeline they are of."""
    readings: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    """(Unix time, value) by question (`guard.judge.baselines.question`)."""
