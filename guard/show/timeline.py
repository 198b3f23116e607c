"""One run as it went, as values: its signals with their limits, its phases, what was done, how far it got. Pure.

It is made of the frames of the flight recorder by guard/show/tracing.py and drawn by guard/show/svg.py. Times are Unix
seconds by the clock of the guard's machine; values are in the base unit of their dimension.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from guard.judge.quantities import say
from guard.model import Dimension

STAGES = ("before", "running", "paused", "after")
"""Of a run, as its readings are told apart: before it was let begin, while it might go on, while not, and after."""
NOT_RECORDED = "nothing was recorded"
"""A silence of the record, and not of the source: nobody migrated, say."""
_SAME = 1.0
"""Seconds by which the guard's word on when a phase began may be later than the record's on the same."""
_RATE_OVER = 2.0
"""Seconds at least: a client reports its progress once a second, and of shorter times it would look torn."""


@dataclass(frozen=True, slots=True)
class Point:
    """One reading; without a value a silence."""

    wall: float
    value: float | None
    why: str = ""
    """Of a silence, its reason."""


@dataclass(frozen=True, slots=True)
class LimitLine:
    """A limit that is a number by now; one relative to a baseline that nobody knows is none."""

    rule: str
    rung: str
    """`warn`, `pause`, `cancel`, `rollback` or `resume`."""
    op: str
    value: float
    words: str
    """`pause > 5 s`, `resume < 1.2x baseline (49 ms)`."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The readings of one stage of a run."""

    name: str
    count: int
    median: float
    worst: float


@dataclass(frozen=True, slots=True)
class Signal:
    """What one sensor has read, and what the rules on it hold it against."""

    sensor: str
    metric: str
    rules: tuple[str, ...]
    """Empty: the tape does not say who asked for it."""
    dimension: Dimension
    points: tuple[Point, ...]
    """Oldest first, at most 600; thinned so that peaks, lows and silences stay."""
    limits: tuple[LimitLine, ...]
    baseline: float | None
    stages: tuple[Stage, ...]
    """Those in which anything was read."""
    readings: int
    silences: int
    worst: Point | None
    """While it ran or was paused; the lowest where less is worse."""
    past: tuple[str, ...]
    """The rungs whose limits a reading was past during the run, for however short a time; gravest last."""

    @property
    def name(self) -> str:
        """For people: its rules, or what it is."""
        return ", ".join(self.rules) or self.sensor


@dataclass(frozen=True, slots=True)
class Band:
    """A time that the run has spent in one phase, or under an operator's order."""

    kind: str
    """A phase as its word (`paused`), or `pause`, `abort`, `override` where an operator ordered it."""
    since: float
    until: float | None
    """None: it lasts."""
    because: str = ""
    effective_after: float | None = None
    """Seconds until a pause was seen to hold; None: it was not."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at one moment."""

    wall: float
    kind: str
    """A reason code, such as `cancelled` or `guard_started`."""
    words: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the run was, as its client reported."""

    wall: float
    rows: int
    batches: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """One run from a little before its beginning to a little after its end."""

    database: str
    migration: str
    run_id: int | None
    since: float
    until: float
    """What is drawn; not when it began and ended."""
    signals: tuple[Signal, ...] = ()
    """Those past a limit first, then by name."""
    bands: tuple[Band, ...] = ()
    marks: tuple[Mark, ...] = ()
    progress: tuple[Progress, ...] = ()
    missing: float = 0.0
    """Seconds of which the record was lost."""
    recorded: float | None = None
    """How far the record goes, where more than that is drawn."""

    @property
    def holds(self) -> tuple[Band, ...]:
        """The times in which it was not to go on."""
        return tuple(band for band in self.bands if band.kind in HOLDING)


@dataclass(frozen=True, slots=True)
class Present:
    """How a run that goes on stands now, as its guard has it in memory."""

    wall: float
    """The moment."""
    phase: str
    since: float
    because: str


def up_to(timeline: Timeline, present: Present) -> Timeline:
    """The same up to the present, of which the record knows only once it is written."""
    bands, last = list(timeline.bands), timeline.bands[-1] if timeline.bands else None
    # By the same phase in the record another time of it may be meant, which ended since.
    later = present.since > timeline.until + _SAME
    if last is None or last.kind != present.phase or last.until is not None or later:
        since = max(present.since, timeline.since if last is None else last.until or last.since)
        if last is not None and last.until is None:
            bands[-1] = replace(last, until=since)
        bands.append(Band(present.phase, since, None, present.because))
    until = max(timeline.until, present.wall)
    return replace(timeline, bands=tuple(bands), until=until, recorded=timeline.until)


HOLDING = ("waiting", "paused", "rolling back", "aborted", "pause", "abort")
"""Kinds of bands in which a migration does not go on."""


def rates(progress: Sequence[Progress]) -> tuple[str, tuple[Point, ...]]:
    """How fast it went: `rows` or, of a client that reports none, `batches`; and how many of them a second, over time.

    Each value stands at the beginning and at the end of the time that it is of, so that a line of them has steps.
    """
    of = "rows" if any(each.rows for each in progress) else "batches"
    points: list[Point] = []
    if not progress:
        return of, ()
    span = progress[-1].wall - progress[0].wall
    start = progress[0]
    for each in progress[1:]:
        took = each.wall - start.wall
        if took < max(_RATE_OVER, span / 150):
            continue
        done = each.rows - start.rows if of == "rows" else each.batches - start.batches
        points += [Point(start.wall, max(0.0, done / took)), Point(each.wall, max(0.0, done / took))]
        start = each
    return of, tuple(points)


def with_gaps(points: Sequence[Point], longest: float) -> tuple[Point, ...]:
    """The points, with a silence in each time longer than so many seconds in which nothing was read."""
    found = list(points[:1])
    for before, after in itertools.pairwise(points):
        if after.wall - before.wall > longest and before.value is not None and after.value is not None:
            found.append(Point(before.wall + longest / 2, None, NOT_RECORDED))
        found.append(after)
    return tuple(found)


def evenly(points: Sequence[Point], timeline: Timeline, count: int) -> list[float | None]:
    """The greatest value of each of so many equal parts of the time; None where nothing was known in one."""
    values: list[float | None] = [None] * count
    for point in points:
        at, value = _part(point.wall, timeline, count), point.value
        known = values[at]
        if value is not None and (known is None or value > known):
            values[at] = value
    return values


def held(timeline: Timeline, count: int) -> list[bool]:
    """In which of these parts it was not to go on."""
    parts = [False] * count
    for band in timeline.holds:
        until = timeline.until if band.until is None else band.until
        if until >= timeline.since and band.since <= timeline.until:
            for part in range(_part(band.since, timeline, count), _part(until, timeline, count) + 1):
                parts[part] = True
    return parts


def _part(wall: float, timeline: Timeline, count: int) -> int:
    span = timeline.until - timeline.since
    share = (wall - timeline.since) / span if span > 0 else 0.0
    return min(count - 1, max(0, int(share * count)))


def words_of(rung: str, term: tuple[str, float, str], value: float, dimension: Dimension) -> str:
    """`pause > 5 s`, `pause > 1.5x baseline (61 ms)`; *term*: operator, figure and kind, as written."""
    op, written, kind = term
    said = say(value, dimension)
    if kind == "factor":
        said = f"{written:g}x baseline ({said})"
    elif kind == "offset":
        said = f"baseline + {say(written, dimension)} ({said})"
    return f"{rung} {op} {said}"
