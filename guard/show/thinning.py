"""Long series kept short as they come: so many points at most, whatever the length, and no peak is lost. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from guard.show.timeline import Point, Progress, Stage

MOST = 600
"""Points of one series."""
_BUCKETS = MOST // 3
"""Each keeps its lowest, its highest and one silence."""
_FINEST = 0.25
"""Seconds: few poll more often, and two values of each are kept."""
_VALUES = 20_000
"""Of one stage, for its median: 160 kB. Its error by leaving out every other one is far below what it is read for."""


@dataclass(slots=True)
class _Bucket:
    low: Point | None = None
    high: Point | None = None
    silence: Point | None = None

    def add(self, point: Point) -> None:
        if point.value is None:
            self.silence = self.silence or point
            return
        if self.low is None or self.low.value is None or point.value < self.low.value:
            self.low = point
        if self.high is None or self.high.value is None or point.value > self.high.value:
            self.high = point

    def points(self) -> Iterable[Point]:
        kept = [each for each in (self.low, self.high, self.silence) if each is not None]
        return sorted(dict.fromkeys(kept), key=lambda point: point.wall)


class Thinned:
    """The points of one series: where they grow too many, times twice as long share a bucket."""

    def __init__(self) -> None:
        self.width = _FINEST
        """Seconds of which the lowest and the highest value are kept."""
        self._buckets: dict[int, _Bucket] = {}

    def add(self, point: Point) -> None:
        """Take one, in any order."""
        self._put(point)
        while len(self._buckets) > _BUCKETS:
            self.width *= 2
            kept = self.points()
            self._buckets = {}
            for each in kept:
                self._put(each)

    def _put(self, point: Point) -> None:
        self._buckets.setdefault(int(point.wall // self.width), _Bucket()).add(point)

    def points(self) -> tuple[Point, ...]:
        """What is kept, oldest first."""
        return tuple(point for _, bucket in sorted(self._buckets.items()) for point in bucket.points())


class Steps:
    """The progress of a run: of each time the last that was heard."""

    def __init__(self) -> None:
        self._width = _FINEST
        self._kept: dict[int, Progress] = {}

    def add(self, progress: Progress) -> None:
        """Take one, newest last."""
        self._kept[int(progress.wall // self._width)] = progress
        while len(self._kept) > MOST:
            self._width *= 2
            self._kept = {int(each.wall // self._width): each for each in self._kept.values()}

    def steps(self) -> tuple[Progress, ...]:
        """What is kept, oldest first."""
        return tuple(sorted(self._kept.values(), key=lambda each: each.wall))


class Values:
    """The readings of one stage: how many, their median, their worst."""

    def __init__(self) -> None:
        self.count = 0
        self._values = array("d")
        self._every = 1
        self._low = self._high = 0.0

    def add(self, value: float) -> None:
        """Take one."""
        self._low = value if self.count == 0 else min(self._low, value)
        self._high = value if self.count == 0 else max(self._high, value)
        if self.count % self._every == 0:
            self._values.append(value)
            if len(self._values) > _VALUES:
                self._values, self._every = self._values[::2], self._every * 2
        self.count += 1

    def stage(self, name: str, *, less_is_worse: bool) -> Stage:
        """Under its name; there must have been one."""
        return Stage(name, self.count, median(self._values), self._low if less_is_worse else self._high)
