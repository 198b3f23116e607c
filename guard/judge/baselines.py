"""Baselines: one robust figure of how a signal was. Pure: samples go in, a figure or the reason for none comes out.

Median and median absolute deviation, since half of the samples must be wrong before either follows them: a spike, a
restart or a scrape that failed leaves both where they were. Which samples count is for whoever gathers them.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from statistics import median
from typing import Final

from guard.errors import Refused
from guard.judge.quantities import say, say_seconds
from guard.model import OWN, Baseline, Condition, Dimension, Rule

LEAST: Final = 30
"""Samples. The median of n samples of a normal distribution errs by 1.25/sqrt(n) of its deviation: with 30 by less than
a quarter of it, which is little beside the excess over the baseline that a limit names. With 10 it would be 40 %."""
SHORTEST: Final = 0.1
"""Share of the window that the samples must span: 30 readings of one bad quarter of a minute are one reading."""
MOST: Final = 180
"""Samples of one window: more make the figure no better (a tenth of the deviation is its error), only dearer."""
NONE_YET: Final = "nothing was read before"
_NO_QUESTION: Final = frozenset(
    {"name", "warn", "pause", "cancel", "rollback", "resume", "no_data", "no_data_for", "stale_after"}
    | {"databases", "migrations"}
)
"""Of a rule: what is made of an answer, and whom it concerns."""
_TO_DEVIATION: Final = 1.4826
"""Of a normal distribution the median absolute deviation times this is the standard deviation."""

Samples = Sequence[tuple[float, float]]
"""(Unix time, value)."""
Known = Baseline | str
"""A baseline, or the reason why there is none."""


@dataclass(frozen=True, slots=True)
class Gathering:
    """Which readings make a baseline; seconds."""

    window: float = 1800.0
    """How much time the samples stand for."""
    idle_interval: float = 10.0
    """How often a source is read while nobody migrates."""
    lasts: float = 86_400.0
    """So long a baseline is gone by, and so old may a sample be."""

    @property
    def spacing(self) -> float:
        """Seconds between two samples at least; a reading that comes a little early still counts."""
        return 0.9 * max(self.window / MOST, self.idle_interval)

    @property
    def most(self) -> int:
        """Samples that are kept; fewer than LEAST where the window is too short for how seldom is read."""
        return int(self.window / max(self.window / MOST, self.idle_interval))


def take(samples: Samples, of: str, window: float, source: str = OWN) -> Baseline:
    """The baseline of these samples. Raises Refused where there are too few, or all of about one moment."""
    if len(samples) < LEAST:
        raise Refused(f"{len(samples)} of {LEAST} readings")
    since, until = min(at for at, _ in samples), max(at for at, _ in samples)
    if until - since < window * SHORTEST:
        needed = say_seconds(window * SHORTEST)
        raise Refused(f"{len(samples)} readings of {say_seconds(until - since)}, and {needed} are needed")
    values = [value for _, value in samples]
    middle = median(values)
    spread = _TO_DEVIATION * median(abs(value - middle) for value in values)
    return Baseline(of, middle, spread, len(values), since, until, source)


def words(known: Known, dimension: Dimension) -> str:
    """`baseline 41 ms (median of 118 over 20 min, spread 3 ms)`, or `no baseline is taken yet (6 of 30 readings)`."""
    if isinstance(known, str):
        return f"no baseline is taken yet ({known})"
    source = "" if known.source == OWN else f" from {known.source}"
    over = say_seconds(round(known.until_wall - known.since_wall))
    value, spread = say(known.value, dimension), say(known.spread, dimension)
    return f"baseline {value} (median of {known.count}{source} over {over}, spread {spread})"


def value_of(known: Known) -> float | None:
    """What a limit is measured against; None where there is no baseline."""
    return None if isinstance(known, str) else known.value


def is_relative(*conditions: Condition | None) -> bool:
    """Whether one of these speaks of a baseline."""
    return any(term.limit.kind != "absolute" for condition in conditions if condition for term in condition.terms)


def goes_by_baseline(rule: Rule) -> bool:
    """Whether some limit of a rule speaks of a baseline."""
    return is_relative(rule.warn, rule.pause, rule.cancel, rule.rollback, rule.resume)


def question(rule: Rule) -> str:
    """By which samples are known to answer what this rule asks: its sensor, and a print of all that shapes the answer.

    It keeps no secret; it only tells apart what a changed file asks from what was asked before.
    """
    shapes = {each.name: getattr(rule, each.name) for each in fields(rule) if each.name not in _NO_QUESTION}
    # What a rule does not say is left out, so that a later version that knows of more asks the same.
    usual = {each.name: each.default for each in fields(rule)}
    told = [(name, value) for name, value in shapes.items() if value != usual[name]]
    return f"{rule.sensor}#{zlib.crc32(repr(told).encode()):08x}"


def usable(samples: Iterable[tuple[float, float]], since_wall: float, until_wall: float) -> list[tuple[float, float]]:
    """Those that measure something and lie within a time."""
    return [(at, value) for at, value in samples if math.isfinite(value) and since_wall <= at <= until_wall]
