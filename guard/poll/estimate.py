"""What the 95th percentile of many times may be, where only their mean and their spread are known. Pure.

pg_stat_statements keeps of each statement how often it ran, and mean and standard deviation of its times. These tell
mean and deviation of an interval exactly, and the shape of the distribution not at all. Times of queries are skewed to
the right, as a lognormal distribution is, so the estimate is that of the lognormal with this mean and deviation. Two
bounds hold whatever the shape: no more than 5 % of what is never negative can lie above 20 times its mean (Markov), nor
above the mean by 4.36 deviations (Cantelli).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

_Z: Final = 1.6448536269514722
"""The 95th percentile of the standard normal distribution."""
_ABOVE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Estimate:
    """All in the unit of the times."""

    mean: float
    deviation: float
    p95: float
    at_most: float
    """The true percentile is not above it, whatever the distribution."""


def estimate(count: float, total: float, squares: float) -> Estimate:
    """Of *count* times (1 or more) that sum up to *total*, and their squares to *squares*.

    It grows with the mean and with the deviation. A lognormal's percentile would fall again where the spread is so
    great that few values make up the mean; there it stays at its greatest, 3.87 times the mean.
    """
    mean = total / count
    # Two large numbers that are nearly equal: what rounding leaves below zero is none.
    variance = max(0.0, squares / count - mean * mean)
    if mean <= 0:
        return Estimate(0.0, 0.0, 0.0, 0.0)
    spread = min(math.sqrt(math.log1p(variance / (mean * mean))), _Z)
    p95 = mean * math.exp(_Z * spread - spread * spread / 2)
    bounds = (mean / _ABOVE, mean + math.sqrt(variance * (1 - _ABOVE) / _ABOVE))
    return Estimate(mean, math.sqrt(variance), p95, max(p95, min(bounds)))
