"""Which fault comes when, from a seed alone: the same seed gives the same faults at the same times, for as long.

It does not know what a fault does.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

LEAD_IN = 3.0
"""Seconds of calm before the first fault."""
RECOVERY = 0.55
"""At most this part of the time between two faults is fault; the rest is for the world to recover."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One fault to come."""

    number: int
    at: float
    """Seconds from the beginning."""
    name: str
    length: float
    """Seconds."""
    key: int
    """Seed of everything that the fault draws by itself."""


def plan(seed: int, seconds: float, every: float, lengths: Mapping[str, tuple[float, float]]) -> list[Slot]:
    """Faults for *seconds*, one each *every*; each kind once before any comes again. *lengths* are by name."""
    dice = random.Random(seed)  # noqa: S311 -- not a secret
    bag: list[str] = []
    slots: list[Slot] = []
    while (at := LEAD_IN + len(slots) * every) + every <= seconds + LEAD_IN:
        if not bag:
            bag = sorted(lengths)
            dice.shuffle(bag)
        name = bag.pop()
        length = min(dice.uniform(*lengths[name]), every * RECOVERY)
        slots.append(Slot(len(slots) + 1, at, name, length, dice.randrange(2**32)))
    return slots
