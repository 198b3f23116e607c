"""One signal of a run as a small picture, for where neither SVG nor a page is shown. Pure, and without a library.

It has no words: what it shows is said beside it by `described`. Light grey where it was held, the limits dashed in red,
the signal in blue.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from dataclasses import dataclass, field
from typing import Final

from guard.judge.quantities import say
from guard.show.axes import Scale, span
from guard.show.timeline import Point, Signal, Timeline

WIDTH, HEIGHT = 900, 240
"""Pixels."""
_EDGE: Final = 8
_PAPER, _HELD, _LIMIT, _LINE = range(4)
_COLOURS: Final = bytes([255, 255, 255, 228, 230, 235, 214, 69, 65, 31, 97, 196])


def chart(signal: Signal, timeline: Timeline) -> bytes:
    """The picture, as the bytes of a PNG."""
    values = [each.value for each in signal.points if each.value is not None]
    y = Scale(*span(values, [line.value for line in signal.limits]), HEIGHT - _EDGE, _EDGE)
    x = Scale(timeline.since, timeline.until, _EDGE, WIDTH - _EDGE)
    canvas = _Canvas()
    for band in timeline.holds:
        until = timeline.until if band.until is None else band.until
        canvas.fill(x(max(band.since, timeline.since)), x(min(until, timeline.until)), _HELD)
    for limit in signal.limits:
        if limit.rung != "resume" and y.low <= limit.value <= y.high:
            canvas.dashes(y(limit.value), _LIMIT)
    for before, after in itertools.pairwise(signal.points):
        if before.value is not None and after.value is not None:
            canvas.line(_at(before, x, y), _at(after, x, y), _LINE)
    return canvas.png()


def described(signal: Signal) -> str:
    """What the picture shows, for who cannot see it and for what has no words in it."""
    values = [each.value for each in signal.points if each.value is not None]
    if not values:
        return f"{signal.name}: never known"
    limits = "; ".join(dict.fromkeys(line.words for line in signal.limits if line.rung != "resume"))
    reach = f"{say(min(values), signal.dimension)} to {say(max(values), signal.dimension)}"
    return f"{signal.name}: {reach}" + (f" (dashed: {limits})" if limits else "") + "; grey: held"


def _at(point: Point, x: Scale, y: Scale) -> tuple[int, int]:
    value = min(max(point.value or 0.0, y.low), y.high)
    return round(x(point.wall)), round(y(value))


@dataclass(frozen=True, slots=True)
class _Canvas:
    """Rows of colours by number."""

    rows: list[bytearray] = field(default_factory=lambda: [bytearray(WIDTH) for _ in range(HEIGHT)])

    def fill(self, left: float, right: float, colour: int) -> None:
        """From top to bottom, at least a pixel wide."""
        first, last = max(0, round(left)), min(WIDTH, max(round(right), round(left) + 1))
        for row in self.rows:
            row[first:last] = bytes([colour]) * max(0, last - first)

    def dashes(self, at: float, colour: int) -> None:
        """From left to right."""
        for left in range(_EDGE, WIDTH - _EDGE, 12):
            self.rows[min(round(at), HEIGHT - 1)][left : left + 7] = bytes([colour]) * 7

    def line(self, start: tuple[int, int], end: tuple[int, int], colour: int) -> None:
        """Two pixels thick."""
        steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
        for step in range(steps + 1):
            x = start[0] + round((end[0] - start[0]) * step / steps)
            y = start[1] + round((end[1] - start[1]) * step / steps)
            for row in self.rows[max(0, y) : y + 2]:
                row[max(0, x) : x + 2] = bytes([colour]) * len(row[max(0, x) : x + 2])

    def png(self) -> bytes:
        """RFC 2083: a signature, then chunks of length, type, content and checksum."""
        header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 3, 0, 0, 0)
        content = zlib.compress(b"".join(b"\0" + bytes(row) for row in self.rows), 9)
        chunks = ((b"IHDR", header), (b"PLTE", _COLOURS), (b"IDAT", content), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in chunks
        )
