"""Samples to a table: what was measured, its bar, median, p99, maximum, runs, and whether the bar was met. Pure.

It does not measure.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Bar:
    """What must hold: the *figure* of the samples (`median`, `p99` or `max`) stays at or below *limit*.

    With *least* it stays at or above it, and p99 and maximum are those of the bad end: the lowest.
    """

    limit: float
    figure: str = "p99"
    least: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. *unit* is that of the samples; *note* says what a number alone would not."""

    what: str
    samples: tuple[float, ...]
    unit: str
    bar: Bar | None = None
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def p99(self) -> float:
        """By nearest rank, so always one of the samples; with few runs it is the worst of them."""
        return self._worse_first()[-math.ceil(len(self.samples) * 0.99)]

    @property
    def worst(self) -> float:
        return self._worse_first()[0]

    @property
    def met(self) -> bool | None:
        """Whether the bar was met; None where there is none."""
        if self.bar is None:
            return None
        value = {"median": self.median, "p99": self.p99, "max": self.worst}[self.bar.figure]
        return value >= self.bar.limit if self.bar.least else value <= self.bar.limit

    def _worse_first(self) -> list[float]:
        # [-n] of a list with the worst first counts from the good end: rank n of all.
        return sorted(self.samples, reverse=not (self.bar and self.bar.least))


def say(value: float, unit: str) -> str:
    """A number as a person reads it."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    text = f"{value:.{digits}f}" if value != int(value) or unit in {"ms", "s", "x"} else f"{value:.0f}"
    return f"{text} {unit}".strip()


def bar_words(row: Row) -> str:
    """The bar in words: `p99 ≤ 150 ms`."""
    if row.bar is None:
        return "-"
    sign = "≥" if row.bar.least else "≤"
    limit = f"{row.bar.limit:g} {row.unit}".strip()
    return f"{row.bar.figure} {sign} {limit}"


def table(rows: Sequence[Row], title: str) -> Table:
    """All rows; their notes are apart, see notes()."""
    result = Table(title=title, title_justify="left")
    result.add_column("what", overflow="fold")
    result.add_column("bar", no_wrap=True)
    for name in ("median", "p99", "max", "runs"):
        result.add_column(name, justify="right", no_wrap=True)
    result.add_column("met?", no_wrap=True)
    for row in rows:
        met = {True: "[green]yes[/]", False: "[red]NO[/]", None: "-"}[row.met]
        numbers = [say(value, row.unit) for value in (row.median, row.p99, row.worst)]
        result.add_row(row.what, bar_words(row), *numbers, str(len(row.samples)), met)
    return result


def notes(rows: Sequence[Row]) -> list[str]:
    """What the numbers alone do not say, a line for each row that has a note."""
    return [f"  {row.what}: {row.note}" for row in rows if row.note]
