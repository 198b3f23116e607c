"""Quantities as people write and read them: `250ms`, `64MB`, `1%`, `3`; and back: `7.4 s`, `1.2 GB`.

Text is matched whole, and only then does a library see it: durationpy by itself takes `3s and > 2s` for five seconds.
"""

from __future__ import annotations

import math
import re
from typing import Final

import durationpy

from guard.model import Dimension

SIZES: Final = {"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
"""As PostgreSQL reads them in its own settings: powers of 1024, and case matters."""

_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,15})?"
_DURATION = re.compile("(?=.)" + "".join(f"(?:{_NUMBER}{unit})?" for unit in ("w", "d", "h", "m", "s", "ms", "us")))
_SIZE = re.compile(rf"({_NUMBER}) ?(B|kB|MB|GB|TB)")
_PERCENT = re.compile(rf"({_NUMBER}) ?%")
_BARE = re.compile(_NUMBER)
_SPACED_DURATION = re.compile(r"(?<=[0-9]) (?=[a-z])")
_STEPS: Final = (("d", "h", 86_400, 3_600), ("h", "min", 3_600, 60), ("min", "s", 60, 1))
_LONGEST = 100 * 365 * 86_400.0


class QuantityError(ValueError):
    """The text is no such quantity; the message says what is allowed."""


def parse_duration(text: str) -> float:
    """Seconds of `250ms`, `5s`, `1m30s`, `1.5h`, `2d`; units largest first, each once. Raises QuantityError."""
    packed = _SPACED_DURATION.sub("", text.strip())
    if not _DURATION.fullmatch(packed):
        hint = "; a bare number has no unit" if _BARE.fullmatch(packed) else ""
        raise QuantityError(f'"{text}" is no duration{hint}; write it like 250ms, 5s, 1m30s, 2h or 1d')
    try:
        seconds = float(durationpy.from_str(packed).total_seconds())
    except (OverflowError, ValueError):
        seconds = math.inf
    if seconds > _LONGEST:
        raise QuantityError(f'"{text}" is longer than 100 years')
    return seconds


def parse_quantity(text: str) -> tuple[float, Dimension]:
    """Value in the base unit of the dimension that its unit tells. Raises QuantityError."""
    packed = text.strip()
    if match := _SIZE.fullmatch(packed):
        return float(match[1]) * SIZES[match[2]], Dimension.BYTES
    if match := _PERCENT.fullmatch(packed):
        return float(match[1]) / 100, Dimension.RATIO
    if _BARE.fullmatch(packed):
        return float(packed), Dimension.COUNT
    try:
        return parse_duration(packed), Dimension.SECONDS
    except QuantityError:
        pass
    raise QuantityError(
        f'"{text}" is no quantity; write a duration (250ms, 5s, 1m30s), a size (64kB, 10MB, 1GB), '
        "a percentage (1%) or a bare count (3), not negative"
    )


def say(value: float, dimension: Dimension, digits: int = 3) -> str:
    """For people: `7.4 s`, `2 min 5 s`, `1.2 GB`, `3`, `5.2 %`; about `digits` significant digits."""
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinitely much"
    if value < 0:
        return f"-{say(-value, dimension, digits)}"
    if dimension is Dimension.SECONDS:
        return _say_seconds(value, digits)
    if dimension is Dimension.BYTES:
        unit = next((unit for unit in ("TB", "GB", "MB", "kB") if value >= SIZES[unit]), "B")
        return f"{_number(value / SIZES[unit], digits)} {unit}"
    if dimension is Dimension.RATIO:
        return f"{_number(value * 100, digits)} %"
    return _number(value, digits)


def say_seconds(value: float) -> str:
    """Seconds for people: `412 ms`, `7.4 s`, `2 min 5 s`."""
    return say(value, Dimension.SECONDS)


def write(value: float, dimension: Dimension) -> str:
    """As the grammar reads it, in one unit: `3.5s`, `350ms`, `44.8MB`, `0.7%`, `2.1`; rounded to six digits."""
    if dimension is not Dimension.SECONDS:
        return say(value, dimension, 6).replace(" ", "")
    if value == 0 or value >= 1:
        return f"{_number(value, 6)}s"
    unit, scale = ("ms", 1e3) if value >= 1e-3 else ("us", 1e6)
    return f"{_number(value * scale, 6)}{unit}"


def _say_seconds(value: float, digits: int) -> str:
    if 0 < value < 1:
        return f"{_number(value * 1000, digits)} ms"
    if value < 120:
        return f"{_number(value, digits)} s"
    whole = round(value)
    larger, smaller, size, part = next(step for step in _STEPS if whole >= 2 * step[2])
    rest = whole % size // part
    return f"{whole // size} {larger}" + (f" {rest} {smaller}" if rest else "")


def _number(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    if value >= 1e15 or value < 1e-9:
        return f"{value:.{digits}g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(value)))
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").removesuffix(".") if "." in text else text
