"""Drawings of a run as SVG texts: its course, each signal, its speed. Nothing in them is run or fetched. Pure.

Colours come from STYLE, which whoever shows them puts into a style sheet: they follow light, dark and paper. Every text
is escaped. Each drawing says in <title> and <desc> what it shows, for who cannot see it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

from guard.judge.quantities import say
from guard.model import Dimension
from guard.show.axes import Scale, span
from guard.show.frame import (
    CHARACTER,
    LEFT,
    TOP,
    Plot,
    bands,
    drawn,
    lasted,
    marks,
    named,
    plot_of,
    reach,
    safe,
    time_axis,
    value_axis,
)
from guard.show.palette import CLASS_OF, ORDERED, STYLE
from guard.show.timeline import NOT_RECORDED, Band, LimitLine, Point, Signal, Timeline, rates

__all__ = ["STYLE", "chart", "course", "speed"]


def chart(signal: Signal, timeline: Timeline, *, ident: str, width: int = 900, height: int = 170) -> str:
    """One signal with its limits, its baseline, and the times in which the run did not go on.

    *ident* is unique on its page, and safe as an XML id. Narrower than 500 the words of limits stand inside.
    """
    plot = plot_of(timeline, width, height)
    points = _for_width(signal.points, width)
    limits, values = _drawn(signal, points), [each.value for each in points if each.value is not None]
    shown = [line.value for line in limits] + ([signal.baseline] if signal.baseline is not None else [])
    low, high = span(values, shown)
    y = Scale(low, high, plot.base, TOP)
    line = _line(plot, y, points)
    parts = [
        *bands(plot, timeline.holds),
        *value_axis(plot, y, signal.dimension),
        *time_axis(plot),
        line,
        _beyond(plot, line, _edge(signal, y), ident),
        *_baseline(plot, y, signal),
        *_unknown(plot, points),
        *_limits(plot, y, limits),
        *marks(plot),
        *_peak(plot, y, signal),
    ]
    return drawn(plot, ident, (signal.name, _described(signal)), parts)


def speed(timeline: Timeline, *, ident: str, width: int = 900, height: int = 110) -> str:
    """How many rows (or batches) a second the run did; empty where that was not recorded."""
    of, points = rates(timeline.progress)
    if not points:
        return ""
    plot = plot_of(timeline, width, height)
    most = max(each.value or 0.0 for each in points)
    y = Scale(0.0, most * 1.12 or 1.0, plot.base, TOP)
    outline = " ".join(f"{plot.x(each.wall):.1f},{y(each.value or 0.0):.1f}" for each in points)
    ends = f"{plot.x(points[0].wall):.1f},{plot.base} {outline} {plot.x(points[-1].wall):.1f},{plot.base}"
    last = timeline.progress[-1]
    desc = f"Up to {say(most, Dimension.COUNT)} {of} a second; {last.rows:,} rows in {last.batches:,} batches in all."
    parts = [
        *bands(plot, timeline.holds),
        *value_axis(plot, y, Dimension.COUNT, 2),
        *time_axis(plot),
        f'<polygon class="area" points="{ends}"/><polyline class="signal" points="{outline}"/>',
        *marks(plot),
    ]
    return drawn(plot, ident, (f"{of} a second", desc), parts)


def course(timeline: Timeline, *, ident: str, width: int = 900) -> str:
    """The phases of the run, below them what operators ordered, and what was done at one moment as triangles."""
    ordered = [band for band in timeline.bands if CLASS_OF.get(band.kind) == ORDERED]
    plot = plot_of(timeline, width, 82 if ordered else 62)
    phases = [band for band in timeline.bands if CLASS_OF.get(band.kind) != ORDERED]
    top = TOP
    parts = [part for band in phases for part in _phase(plot, band, top, 24.0)]
    parts += [part for band in ordered for part in _phase(plot, band, top + 27, 15.0)]
    parts += _triangles(plot, top)
    said = "; ".join(f"{named(band)} {lasted(band, timeline)}" for band in timeline.bands)
    return drawn(
        plot, ident, (f"Course of {timeline.migration}", said or "Nothing is known."), [*parts, *time_axis(plot)]
    )


# -- parts -------------------------------------------------------------------------------------------------------------


def _for_width(points: Sequence[Point], width: int) -> Sequence[Point]:
    """No more than can be told apart: of neighbours the lowest, the highest and a silence."""
    size = math.ceil(len(points) / max(1, width // 3))
    if size <= 1:
        return points
    kept: list[Point] = []
    for start in range(0, len(points), size):
        part = points[start : start + size]
        known = [each for each in part if each.value is not None]
        few = [each for each in part if each.value is None][:1]
        if known:
            few += [min(known, key=lambda each: each.value or 0.0), max(known, key=lambda each: each.value or 0.0)]
        kept += sorted(dict.fromkeys(few), key=lambda each: each.wall)
    return kept


def _drawn(signal: Signal, points: Sequence[Point]) -> list[LimitLine]:
    """The limits that are near enough to what was read to be drawn, each once."""
    _, high = span([each.value for each in points if each.value is not None], [line.value for line in signal.limits])
    return [line for line in {line.words: line for line in signal.limits}.values() if line.value <= high]


def _edge(signal: Signal, y: Scale) -> tuple[float, float] | None:
    """From where to where a line is past the first limit that holds a migration up, in pixels."""
    grave = [line for line in signal.limits if line.rung in {"pause", "cancel", "rollback"}]
    if not grave:
        return None
    upper = [line for line in grave if line.op.startswith(">")]
    if upper:
        line = min(upper, key=lambda each: each.value)
        return (0.0, y(line.value) - _off(line)) if line.value <= y.high else None
    line = max(grave, key=lambda each: each.value)
    return (y(line.value) + _off(line), y.at_low + 4) if line.value >= y.low else None


def _off(line: LimitLine) -> float:
    """Pixels beyond the limit at which its breach begins: a signal that stands on it is past it by `>=` alone."""
    return -1.3 if line.op.endswith("=") else 1.3


def _triangles(plot: Plot, top: float) -> Iterable[str]:
    shown = [mark for mark in plot.timeline.marks if plot.timeline.since <= mark.wall <= plot.timeline.until]
    places = [plot.x(mark.wall) for mark in shown]
    for mark, at, following in zip(shown, places, [*places, plot.width + 9.0][1:], strict=True):
        words = mark.kind.replace("_", " ")
        shape = f"{at:.1f},{top - 1} {at - 6:.1f},{top - 11} {at + 6:.1f},{top - 11}"
        yield f'<polygon class="mark" points="{shape}"><title>{safe(mark.words)}</title></polygon>'
        if at + 9 + len(words) * CHARACTER <= following - 9:
            yield f'<text x="{at + 9:.1f}" y="{top - 2}">{safe(words)}</text>'


def _phase(plot: Plot, band: Band, top: float, height: float) -> Iterable[str]:
    left, right = reach(plot, band)
    if right <= left:
        return
    shape = f'x="{left:.1f}" y="{top}" width="{max(1.0, right - left - 1):.1f}" height="{height}" rx="2"'
    words = f"{named(band)} {lasted(band, plot.timeline)}"
    why = safe(f"{words}: {band.because}".removesuffix(": "))
    yield f'<rect class="phase {CLASS_OF.get(band.kind, "")}" {shape}><title>{why}</title></rect>'
    fitting = next((each for each in (words, named(band)) if len(each) * CHARACTER + 8 <= right - left), "")
    if fitting:
        at = f'x="{(left + right) / 2:.1f}" y="{top + height / 2 + 4}"'
        yield f'<text class="strong" text-anchor="middle" {at}>{safe(fitting)}</text>'


def _baseline(plot: Plot, y: Scale, signal: Signal) -> Iterable[str]:
    if signal.baseline is not None and math.isfinite(signal.baseline):
        at, words = y(signal.baseline), f"baseline {say(signal.baseline, signal.dimension)}"
        yield f'<line class="baseline" x1="{LEFT}" x2="{plot.right:.1f}" y1="{at:.1f}" y2="{at:.1f}"/>'
        yield f'<text class="halo" x="{LEFT + 4}" y="{at - 3:.1f}">{safe(words)}</text>'


def _line(plot: Plot, y: Scale, points: Sequence[Point]) -> str:
    path, dots = [], []
    for known, group in itertools.groupby(points, key=lambda each: each.value is not None):
        places = [f"{plot.x(each.wall):.1f},{y(_finite(each, y)):.1f}" for each in group] if known else []
        if len(places) == 1:
            dots.append(places[0].split(","))
        elif places:
            path.append("M" + " L".join(places))
    line = f'<path class="signal" d="{" ".join(path)}"/>' if path else ""
    return line + "".join(f'<circle class="dot" cx="{x}" cy="{at}" r="2"/>' for x, at in dots)


def _beyond(plot: Plot, line: str, edge: tuple[float, float] | None, ident: str) -> str:
    """What of the line is past its limit, in another colour."""
    if edge is None or not line:
        return ""
    top, bottom = edge
    shape = f'x="0" y="{top:.1f}" width="{plot.width}" height="{max(0.0, bottom - top):.1f}"'
    again = line.replace('class="signal"', 'class="signal beyond"').replace('class="dot"', 'class="dot beyond"')
    return f'<clipPath id="{ident}-c"><rect {shape}/></clipPath><g clip-path="url(#{ident}-c)">{again}</g>'


def _finite(point: Point, y: Scale) -> float:
    value = point.value or 0.0
    return value if math.isfinite(value) else (y.high if value > 0 else y.low)


def _unknown(plot: Plot, points: Sequence[Point]) -> Iterable[str]:
    """A bar on the axis for as long as nothing was known."""
    since: Point | None = None
    end = plot.timeline.until if plot.timeline.recorded is None else plot.timeline.recorded
    for point in (*points, Point(end, 0.0)):
        if point.value is None:
            since = since or point
        elif since is not None:
            if since.why != NOT_RECORDED:
                left, right = plot.x(since.wall), plot.x(point.wall)
                shape = f'x="{left:.1f}" y="{plot.base - 4}" width="{max(1.5, right - left):.1f}" height="4"'
                yield f'<rect class="unknown" {shape}><title>{safe(f"not known: {since.why}")}</title></rect>'
            since = None


def _limits(plot: Plot, y: Scale, limits: Sequence[LimitLine]) -> Iterable[str]:
    lowest = float("inf")
    for line in sorted(limits, key=lambda each: each.value):
        at = y(line.value)
        yield f'<line class="limit {line.rung}" x1="{LEFT}" x2="{plot.right:.1f}" y1="{at:.1f}" y2="{at:.1f}"/>'
        if plot.gutter:
            lowest = max(TOP - 4, min(at + 4, lowest - 13))
            words = line.words if len(line.words) * CHARACTER < plot.gutter - 6 else f"{line.words[:30]}…"
            place = f'x="{plot.right + 6:.1f}" y="{lowest:.1f}"'
            yield f'<text class="words {line.rung}" {place}>{safe(words)}</text>'
        else:
            lowest = max(TOP - 4, min(at - 3, lowest - 12))
            place = f'text-anchor="end" x="{plot.right:.1f}" y="{lowest:.1f}"'
            yield f'<text class="halo words {line.rung}" {place}>{safe(line.words)}</text>'


def _peak(plot: Plot, y: Scale, signal: Signal) -> Iterable[str]:
    worst = signal.worst
    if worst is None or worst.value is None or not signal.past:
        return
    x, at, words = plot.x(worst.wall), y(_finite(worst, y)), say(worst.value, signal.dimension)
    after = x + len(words) * CHARACTER + 12 < plot.right
    place = f'x="{x + 7 if after else x - 7:.1f}" y="{max(at, TOP + 2) + 1:.1f}"'
    anchor = "" if after else 'text-anchor="end" '
    yield f'<circle class="peak" cx="{x:.1f}" cy="{at:.1f}" r="3.5"/>'
    yield f'<text class="strong halo" {anchor}{place}>{safe(words)}</text>'


def _described(signal: Signal) -> str:
    words = [f"{signal.metric}, {signal.readings} readings, {signal.silences} without a value."]
    words += [f"{each.name}: median {say(each.median, signal.dimension)}, worst {say(each.worst, signal.dimension)} "
              f"of {each.count}." for each in signal.stages]  # fmt: skip
    words += [f"Limit: {line.words}." for line in signal.limits]
    return " ".join(words)
