"""The arithmetic of pacing by a window of un-replayed WAL. Pure: every time comes in as an argument.

A standby that cannot keep up is the bottleneck, so a backfill cannot end (caught up) sooner than its replay allows. As
flow control does, it may then have so much under way as keeps the standby busy, and no more: more only makes the lag
longer. How much that is follows from how fast the standby replays, and from the lag that is allowed.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

ASSUMED = 4.0 * (1 << 20)
"""Bytes/s that a standby is taken to replay until its rate is known, as one on a line of 32 Mbit/s does. One half as
fast lags by half of the limit once, before it has shown its rate."""
SMALL = 1 << 20
"""Bytes of a window below which it is so short a time that a busy machine is late by as much."""
LEAST = 1 << 16
"""Bytes of the smallest window: a standby is never quite without WAL to replay."""
SHARE = 0.25
"""Of the lag at which the guard pauses: the rest is for other writers, a batch on top of the window, and a standby that
becomes slower. Measured: a quarter costs no time, since no standby needs more than its own delay to stay busy."""
LOW = 0.25
"""Which of the rates counts, from the lowest: one that jumps between two speeds must keep the limit at the lower."""
MEMORY, SLICE, GAP = 60.0, 0.5, 5.0
"""Seconds: how long a rate counts, over how long one is measured (replies of standbys come in jumps), and how long may
lie between two looks at most, as nobody knows whether it had enough to do meanwhile."""
HALF = 5.0
"""Seconds of rest after which what others wrote before counts half."""
BATCHES = 9
"""So many of the last batches say how much one writes; the middle one, so that one checkpoint does not count."""


def low(values: Sequence[float], share: float = LOW) -> float | None:
    """The value below which that *share* of them lies, by nearest rank; None of none."""
    return sorted(values)[max(0, math.ceil(len(values) * share) - 1)] if values else None


def window(rate: float | None, pause_limit: float, batch: int) -> int:
    """Bytes that may be un-replayed when a batch begins: at *rate* bytes/s a share of *pause_limit* seconds of lag.

    Never less than two of what a *batch* writes, else the standby would wait for the migration. Of a SMALL window the
    share is up to twice as large.
    """
    fits = (ASSUMED if rate is None else rate) * pause_limit * SHARE
    return max(LEAST, int(max(fits, min(SMALL, 2 * fits))), 2 * batch)


@dataclass(slots=True)
class Replay:
    """How fast the slowest standby replays while it has enough to do, in bytes/s."""

    _rates: deque[tuple[float, float]] = field(default_factory=deque)
    _since: tuple[float, int] = (0.0, 0)
    """When the time began in which it has had enough to do, and where it was then."""
    _waited: bool = False
    """Whether it was waited for in that time."""
    _last: tuple[float, str, int] = (0.0, "", 0)
    _sum: tuple[float, int] = (0.0, 0)
    """Seconds and bytes of such times, each too short to be a rate."""

    def look(self, now: float, name: str, replayed: int, written: int, *, waits: bool = True) -> None:
        """Standby *name* has come to *replayed* of *written*; *waits*: the migration waits for it.

        It had enough to do where it has not yet replayed all that was written at the look before: else it may have
        waited for more meanwhile, and its rate would be the migration's own. What it had until then counts all the same
        where it was waited for, since such looks follow each other closely.
        """
        before, who, had = self._last
        self._last = (now, name, written)
        began, position = self._since
        if name != who or now - before > GAP or replayed < position:
            self._since, self._waited = (now, replayed), waits
            return
        idle = replayed >= had
        if idle or now - began >= SLICE:
            if self._waited or not idle:
                self._add(now, now - began, (had if idle else replayed) - position)
            self._since, self._waited = (now, replayed), waits
        else:
            self._waited = self._waited or waits

    def _add(self, now: float, seconds: float, size: int) -> None:
        seconds, size = self._sum[0] + seconds, self._sum[1] + size
        self._sum = (seconds, size)
        if seconds >= SLICE:
            self._rates.append((now, size / seconds))
            self._sum = (0.0, 0)

    def rate(self, now: float) -> float | None:
        """A low one of the last minute; None where it never had enough to do."""
        while self._rates and self._rates[0][0] < now - MEMORY:
            self._rates.popleft()
        return low([rate for _, rate in self._rates])


@dataclass(slots=True)
class Writes:
    """How much WAL one batch writes, and how much others do meanwhile: what comes while no batch runs is theirs."""

    _own: deque[float] = field(default_factory=lambda: deque(maxlen=BATCHES))
    _written: deque[tuple[int, int]] = field(default_factory=deque)
    """Where the WAL was after some batches, and how much of it was theirs."""
    _rest: tuple[float, float] = (0.0, 0.0)
    """Seconds and bytes of the times of rest, the older the less."""
    _from: tuple[float, int] | None = None

    def worked(self, now: float, written: int, batches: int) -> int | None:
        """Since the last look *batches* were run: what each of them wrote, without what others write in that time."""
        before, self._from = self._from, (now, written)
        if before is None or batches < 1:
            return None
        own = max(0.0, written - before[1] - self.foreign * (now - before[0])) / batches
        self._own.append(own)
        self._written.append((written, round(own * batches)))
        return round(own)

    def rested(self, now: float, written: int) -> None:
        """No batch has run since the last look."""
        if self._from is not None and now > self._from[0]:
            took, came = now - self._from[0], written - self._from[1]
            kept = 0.5 ** (took / HALF)
            self._rest = (self._rest[0] * kept + took, self._rest[1] * kept + came)
        self._from = (now, written)

    @property
    def foreign(self) -> float:
        """Bytes/s of other writers, by the last times of rest; 0 where there were none."""
        seconds, came = self._rest
        return came / seconds if seconds > 0 else 0.0

    @property
    def batch(self) -> int:
        """Bytes of a usual batch; 0 before the first."""
        return round(sorted(self._own)[len(self._own) // 2]) if self._own else 0

    def pending(self, replayed: int) -> int:
        """Bytes of its own that a standby has still to replay which has come to *replayed*."""
        while self._written and self._written[0][0] <= replayed:
            self._written.popleft()
        return sum(size for _, size in self._written)


@dataclass(slots=True)
class Ease:
    """Where there is no standby: how long to rest after a batch that took longer, for its work, than batches can."""

    _took: deque[float] = field(default_factory=lambda: deque(maxlen=200))
    _longer: float = 2.0
    """So many times as long as the best ones; less is the usual weather."""

    def rest(self, took: float, work: float) -> float:
        """Seconds to rest after a batch of *took* seconds that did *work* (rows): what it took too long, at most 1.

        The best is the tenth that was quickest of the last 200; the last five, their middle one, say how it is now.
        """
        if work <= 0:
            return 0.0
        self._took.append(took / work)
        best, now = low(self._took, 0.1), sorted(list(self._took)[-5:])
        if len(self._took) < 20 or not best:
            return 0.0
        slower = now[len(now) // 2] / best
        return min(1.0, took * (1 - self._longer / slower)) if slower > self._longer else 0.0
