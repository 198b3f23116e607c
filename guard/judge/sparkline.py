"""A series of values as one line of text, for where there is no picture. What the values mean is said elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"
NONE = "·"
"""Where nothing was measured: a gap is no low value."""
OPENS, CLOSES = "[", "]"
"""Around what is marked. In the line itself, since a second line below it is in step only where all letters are of one
width."""

Values = Sequence[float | None]


def line(values: Values, width: int = 24, *, top: float | None = None, marked: Sequence[bool] = ()) -> str:
    """Bars from 0, or from the least value where that is below, to *top* or the greatest; at most *width* of them.

    *marked* goes beside the values (missing ones count as not marked); what is marked stands in brackets, which come
    on top of the width. Several values of one bar are shown by their greatest, and it is marked where one of them is.
    """
    shares = _shares(len(values), width)
    tops = [_top(values[first:last]) for first, last in shares]
    known = [value for value in tops if value is not None and math.isfinite(value)]
    low, high = min(0.0, *known, 0.0), max(known, default=0.0) if top is None else top
    text, inside = "", False
    for (first, last), value in zip(shares, tops, strict=True):
        if any(marked[first:last]) != inside:
            text += CLOSES if inside else OPENS
            inside = not inside
        text += _bar(value, low, high)
    return text + CLOSES * inside


def _shares(count: int, width: int) -> list[tuple[int, int]]:
    """Where the values of each bar begin and end."""
    bars = min(count, max(1, width))
    return [(count * bar // bars, count * (bar + 1) // bars) for bar in range(bars)]


def _top(values: Values) -> float | None:
    return max((value for value in values if value is not None and not math.isnan(value)), default=None)


def _bar(value: float | None, low: float, high: float) -> str:
    if value is None:
        return NONE
    if high <= low:
        return BARS[-1 if value > high else 0]
    share = (min(max(value, low), high) - low) / (high - low)
    return BARS[min(len(BARS) - 1, int(share * len(BARS)))]
