"""Where a time and a value lie in a drawing, and which of them are written beside it. Pure."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Final

from guard.model import Dimension

_TIMES: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
"""Seconds between two marks of an axis of time, and from a minute on also of one of durations."""
_FAR: Final = 12.0
"""A limit so many times above all that was read would press the signal flat onto the axis: it is told in words."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight way from values to pixels."""

    low: float
    high: float
    at_low: float
    """Pixels."""
    at_high: float

    def __call__(self, value: float) -> float:
        """Pixels; a value outside lies on the edge."""
        span = self.high - self.low
        share = (value - self.low) / span if span > 0 else 0.0
        return self.at_low + min(1.0, max(0.0, share)) * (self.at_high - self.at_low)


def times(since: float, until: float, most: int) -> tuple[list[float], str]:
    """Unix times to be marked, at most so many, and the format that they are written in (UTC)."""
    wanted = max(until - since, 1.0) / most
    step = next((each for each in _TIMES if each >= wanted), None)
    if step is None:
        step = math.ceil(wanted / 86_400) * 86_400
    first = math.ceil(since / step) * step
    form = "%H:%M:%S" if step < 60 else "%H:%M" if step < 43_200 else "%d %b %H:%M"
    return list(takewhile(lambda at: at <= until, (float(first + step * n) for n in count()))), form


def clock(wall: float, form: str) -> str:
    """A Unix time in UTC."""
    return dt.datetime.fromtimestamp(wall, dt.UTC).strftime(form)


def span(values: Iterable[float], limits: Sequence[float]) -> tuple[float, float]:
    """The lowest and the highest value of an axis: from zero, but where that would hide all that moves."""
    known = [value for value in values if math.isfinite(value)]
    most = max(known, default=0.0)
    near = [limit for limit in limits if math.isfinite(limit) and (most <= 0 or abs(limit) <= _FAR * most)]
    shown = [*known, *near] or [0.0]
    low, high = min(shown), max(shown)
    if low < 0 or (low > 0.75 * high and high > low):
        rim = (high - low) * 0.15
        return low - rim, high + rim
    return 0.0, high * 1.12 if high > 0 else 1.0


def ticks(low: float, high: float, dimension: Dimension, most: int = 4) -> list[float]:
    """Round values in between, at most so many."""
    wanted = (high - low) / most
    if not math.isfinite(wanted) or wanted <= 0:
        return [low]
    step = _round_step(wanted, dimension)
    return [step * n for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _round_step(wanted: float, dimension: Dimension) -> float:
    if dimension is Dimension.SECONDS and wanted > 30:
        return float(next((each for each in _TIMES if each >= wanted), math.ceil(wanted / 86_400) * 86_400))
    if dimension is Dimension.BYTES:
        return 2.0 ** max(
            0, math.ceil(math.log2(wanted))
        )  # 512 kB, 1 MB, 2 MB: round in the units that they are said in
    if dimension is Dimension.COUNT and wanted < 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= wanted * 0.999)
