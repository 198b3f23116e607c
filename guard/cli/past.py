"""What Prometheus remembers of the rules that ask it: range queries, bounded in number, size and time."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from guard.cli.suggesting import Point
from guard.errors import Refused
from guard.judge.quantities import say_seconds
from guard.model import Rule
from guard.settings import Settings
from guard.sources import histories_of

POINTS: Final = 1500
"""Of one rule. The 99th percentile then rests on 15 of them; Prometheus answers up to 11,000."""
WITHIN: Final = 10.0
"""Seconds for one rule."""
ALL_WITHIN: Final = 60.0
"""Seconds for all of them together."""
AT_ONCE: Final = 4
"""Questions under way: a week of a quantile is work, and the Prometheus is one that people rely on."""


@dataclass(frozen=True, slots=True)
class Past:
    """What one rule would have read, or in words why that is not known."""

    points: tuple[Point, ...] = ()
    missing: str = ""


def step_of(seconds: float) -> float:
    """Seconds between two points of such a time: whole ones, or whole minutes."""
    unit = 1 if seconds <= 60 * POINTS else 60
    return float(max(1, math.ceil(seconds / POINTS / unit) * unit))


def ask(settings: Settings, rules: Sequence[Rule], seconds: float) -> dict[str, Past]:
    """What *rules* would have read in the last so many seconds, by name; of those that ask Prometheus."""
    return asyncio.run(_ask(settings, rules, seconds))


async def _ask(settings: Settings, rules: Sequence[Rule], seconds: float) -> dict[str, Past]:
    turn, end = asyncio.Semaphore(AT_ONCE), time.monotonic() + ALL_WITHIN
    until = time.time()
    histories = histories_of(settings, rules, within=WITHIN)

    async def one(name: str) -> Past:
        async with turn:
            if time.monotonic() > end:
                return Past(missing=f"not asked, since the others have taken {say_seconds(ALL_WITHIN)}")
            try:
                found = await histories[name].range(until - seconds, until, step_of(seconds))
            except Refused as wrong:
                return Past(missing=str(wrong))
        return Past(tuple(Point(at, value) for at, value in found))

    return dict(zip(histories, await asyncio.gather(*map(one, histories)), strict=True))
