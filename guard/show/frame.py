"""The frame that all drawings of a run share: one axis of time, axes of values, bands, marks; and safe text. Pure."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass

from guard.judge.quantities import say, say_seconds
from guard.model import Dimension
from guard.show.axes import Scale, clock, ticks, times
from guard.show.palette import CLASS_OF, ORDERED
from guard.show.timeline import Band, Timeline

CHARACTER = 6.1
"""Pixels, about, of one at 11 px."""
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
TOP, BOTTOM, LEFT = 16.0, 20.0, 58.0
"""Pixels around the signal."""


@dataclass(frozen=True, slots=True)
class Plot:
    """The frame that a drawing stands in; all drawings of one timeline and width have the same axis of time."""

    timeline: Timeline
    width: int
    height: int
    gutter: float
    """Pixels to the right, for the words of limits; 0: they stand inside."""

    @property
    def right(self) -> float:
        return self.width - max(self.gutter, 8.0)

    @property
    def base(self) -> float:
        return self.height - BOTTOM

    @property
    def x(self) -> Scale:
        return Scale(self.timeline.since, self.timeline.until, LEFT, self.right)


def safe(text: str) -> str:
    """The text with nothing in it that XML would take for more than text, or not take at all."""
    return html.escape(_NO_XML.sub("\ufffd", text))


def drawn(plot: Plot, ident: str, words: tuple[str, str], parts: Iterable[str]) -> str:
    """The whole drawing; *words* are its title and its description."""
    title, desc = words
    body = "".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="mg" viewBox="0 0 {plot.width} {plot.height}" role="img" '
        f'aria-labelledby="{ident}-t {ident}-d"><title id="{ident}-t">{safe(title)}</title>'
        f'<desc id="{ident}-d">{safe(desc)}</desc>{body}</svg>'
    )


def plot_of(timeline: Timeline, width: int, height: int) -> Plot:
    """Narrower than 500 pixels the words of limits stand inside."""
    if width < 500:
        return Plot(timeline, width, height, 0.0)
    longest = max((len(line.words) for signal in timeline.signals for line in signal.limits), default=0)
    return Plot(timeline, width, height, min(200.0, longest * CHARACTER + 14) if longest else 0.0)


def bands(plot: Plot, shown: Iterable[Band]) -> Iterable[str]:
    """Times behind the signal: over its whole height where the guard held the run, as a strip where an operator did."""
    for band in shown:
        left, right = reach(plot, band)
        if right > left:
            kind = CLASS_OF.get(band.kind, "")
            form, top, height = ("strip", TOP - 6, 5.0) if kind == ORDERED else ("band", TOP, plot.base - TOP)
            shape = f'x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{height:.1f}"'
            words = f"{named(band)} {lasted(band, plot.timeline)}: {band.because}".removesuffix(": ")
            yield f'<rect class="{form} {kind}" {shape}><title>{safe(words)}</title></rect>'


def named(band: Band) -> str:
    """What is done in it, in words."""
    return f"operator: {band.kind}" if CLASS_OF.get(band.kind) == ORDERED else band.kind


def reach(plot: Plot, band: Band) -> tuple[float, float]:
    """From where to where it goes, in pixels; nothing where it lies outside."""
    until = plot.timeline.until if band.until is None else band.until
    if until <= plot.timeline.since or band.since >= plot.timeline.until:
        return 0.0, 0.0
    left, right = plot.x(band.since), plot.x(until)
    return left, max(right, left + 1.0)


def lasted(band: Band, timeline: Timeline) -> str:
    """For how long, in words."""
    until = timeline.until if band.until is None else band.until
    return say_seconds(max(0.0, round(until - band.since, 1)))


def value_axis(plot: Plot, y: Scale, dimension: Dimension, most: int = 4) -> Iterable[str]:
    """Lines and words of round values."""
    for value in ticks(y.low, y.high, dimension, most):
        at = y(value)
        yield f'<line class="axis" x1="{LEFT}" x2="{plot.right:.1f}" y1="{at:.1f}" y2="{at:.1f}"/>'
        yield f'<text text-anchor="end" x="{LEFT - 6}" y="{at + 4:.1f}">{safe(say(value, dimension))}</text>'


def time_axis(plot: Plot) -> Iterable[str]:
    """Marks and words of round times, in UTC."""
    yield f'<line class="axis" x1="{LEFT}" x2="{plot.right:.1f}" y1="{plot.base}" y2="{plot.base}"/>'
    room = plot.right - LEFT
    marked, form = times(plot.timeline.since, plot.timeline.until, max(2, int(room // 90)))
    for at in marked:
        x, words = plot.x(at), clock(at, form)
        half = len(words) * CHARACTER / 2
        if x - half >= LEFT - 20 and x + half <= plot.width:
            yield f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{plot.base}" y2="{plot.base + 4}"/>'
            yield f'<text text-anchor="middle" x="{x:.1f}" y="{plot.base + 15}">{words}</text>'


def marks(plot: Plot) -> Iterable[str]:
    """A line for what happened at one moment."""
    for mark in plot.timeline.marks:
        if plot.timeline.since <= mark.wall <= plot.timeline.until:
            at = plot.x(mark.wall)
            yield f'<line class="markline" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{plot.base}">'
            yield f"<title>{safe(mark.words)}</title></line>"
