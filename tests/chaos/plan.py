"""Which fault comes when, from a seed alone: the same seed gives the same faults at the same times, for as long.

It does not know what a fault does.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

LEAD_IN = 3.0
"""Seconds of calm before the first fault."""
RECOVERY = 0.55
"""At most this part of the time between two faults is fault; the rest is for the world to recover."""


DOUBLE = 4
"""Each so many faults a second one happens within the first."""


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
    second: Slot | None = None
    """Another one, `at` so many seconds after this one, and over before it."""


Together = Callable[[str, str], bool]


def plan(
    seed: int, seconds: float, every: float, lengths: Mapping[str, tuple[float, float]], together: Together
) -> list[Slot]:
    """Faults for *seconds*, one each *every*; each kind once before any comes again.

    *lengths* are by name; *together* says of two names whether one may happen within the other.
    """
    dice = random.Random(seed)  # noqa: S311 -- not a secret
    bag: list[str] = []
    slots: list[Slot] = []
    while (at := LEAD_IN + len(slots) * every) + every <= seconds + LEAD_IN:
        if not bag:
            bag = sorted(lengths)
            dice.shuffle(bag)
        name = bag.pop()
        length = min(dice.uniform(*lengths[name]), every * RECOVERY)
        slot = Slot(len(slots) + 1, at, name, length, dice.randrange(2**32))
        others = [other for other in sorted(lengths) if together(name, other)]
        if slot.number % DOUBLE == 0 and others:
            slot = replace(slot, second=_within(slot, dice.choice(others), lengths, dice))
        slots.append(slot)
    return slots


def _within(slot: Slot, name: str, lengths: Mapping[str, tuple[float, float]], dice: random.Random) -> Slot:
    delay = dice.uniform(0.0, slot.length / 2)
    length = min(dice.uniform(*lengths[name]), slot.length - delay)
    return Slot(slot.number, delay, name, length, dice.randrange(2**32))
