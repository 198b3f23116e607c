"""Limits from the past: for each rule a pause that what was seen would seldom have reached, with its reason.

It only counts: that what was seen was a time in which all was well enough is for people to judge.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guard.judge.conditions import ConditionError, both_can_hold, parse_condition
from guard.judge.quantities import say, say_seconds, write
from guard.model import Condition, Dimension, Rule

ENOUGH = 100
"""Readings: of fewer, the greatest is the 99th percentile."""
MARGIN = 2.0
"""A pause at twice what 99 of 100 readings keep to: above the common run, and below what an incident shows."""
_LEAST = {Dimension.SECONDS: 0.1, Dimension.BYTES: 1024.0**2, Dimension.COUNT: 2.0, Dimension.RATIO: 0.001}
"""No limit below this: where nearly all readings are 0, any one would be past it."""
_BREAK = 30.0
"""Seconds between two readings from which on they are no longer one stretch."""


@dataclass(frozen=True, slots=True)
class Point:
    """A reading; Unix time, and the value in the base unit of its rule."""

    wall: float
    value: float


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One rule as it might be written: its keys, and why, a line each."""

    keys: Mapping[str, Any]
    reasons: tuple[str, ...]


def readings(frames: Iterable[Mapping[str, Any]]) -> dict[str, list[Point]]:
    """All that was read, by sensor, each reading once."""
    found: dict[str, list[Point]] = {}
    newest: dict[str, float] = {}
    for frame in frames:
        for sensor, value, taken_at, *_ in frame.get("s", ()):
            if value is None or not math.isfinite(value) or newest.get(sensor) == taken_at:
                continue
            newest[sensor] = taken_at
            found.setdefault(sensor, []).append(Point(frame["w"] - (frame["t"] - taken_at), value))
    return found


def suggestion(
    rule: Rule,
    keys: Mapping[str, Any],
    points: Sequence[Point],
    *,
    every: float = 0.0,
    missing: str = "nothing was recorded of it",
) -> Suggestion:
    """*keys* of a rule as they stand in the file, with its pause and resume as *points* suggest them.

    *every*: seconds between two points, where they were asked for; 0: as often as the guard looked. *missing*: why
    there are no points.
    """
    unit = rule.dimension
    if not points:
        return Suggestion(keys, (f"{missing}; unchanged",))
    values = sorted(point.value for point in points)
    seen = (
        f"{len(points)} readings: median {say(_share(values, 0.5), unit)}, 99 % at most "
        f"{say(_share(values, 0.99), unit)}, highest {say(values[-1], unit)}"
    )
    if len(points) < ENOUGH:
        return Suggestion(keys, (seen, f"fewer than {ENOUGH} are too few; unchanged"))
    pause = rule.pause
    if pause is None or not _plain(pause):
        plain = "only a pause with one fixed upper limit is suggested; unchanged"
        return Suggestion(keys, (seen, *_relative(pause, values), plain))
    p99 = _share(values, 0.99)
    margin, how = _above(p99, unit)
    limit = _rounded(margin, unit)
    back = max(p99, 0.7 * limit)
    held = write(pause.duration, Dimension.SECONDS)
    texts = {
        "pause": f"> {write(limit, unit)}" + (f" for {held}" if pause.duration else ""),
        "resume": f"< {write(back, unit)} for {write(rule.resume.duration or 10.0, Dimension.SECONDS)}",
    }
    if clash := _clash(rule, texts):
        return Suggestion(keys, (seen, f"{clash}; unchanged"))
    reasons = (
        seen,
        f"pause: {how}",
        _before(points, limit, held=pause.duration, every=every),
        f"resume: {'what 99 of 100 readings keep to' if back > 0.7 * limit else '70 % of the limit'}",
    )
    return Suggestion({**keys, **texts}, reasons)


def _before(points: Sequence[Point], limit: float, *, held: float, every: float) -> str:
    """What the limit would have done."""
    if every > held:
        above = sum(point.value > limit for point in points)
        return f"{above} of these readings are above that, and they lie {say_seconds(every)} apart"
    stretches = _stretches(points, limit, max(_BREAK, 2.5 * every))
    times = sum(stretch >= held for stretch in stretches)
    longest = f", {say_seconds(round(max(stretches), 1))} at the longest" if stretches else ""
    paused = f"{times} of them would have paused" if times else "none would have paused"
    return f"in that time it was above that {_times(len(stretches))}{longest}; {paused}"


def _relative(pause: Condition | None, values: Sequence[float]) -> tuple[str, ...]:
    """What a limit relative to a baseline would have to be."""
    middle = _share(values, 0.5)
    if pause is None or middle <= 0 or all(term.limit.kind != "factor" for term in pause.terms):
        return ()
    most, highest = _share(values, 0.99) / middle, values[-1] / middle
    return (f"99 % keep to {most:.3g}x their median, the highest is {highest:.3g}x",)


def _share(values: Sequence[float], share: float) -> float:
    """The smallest value that this share of all does not exceed."""
    return values[max(0, math.ceil(share * len(values)) - 1)]


def _above(p99: float, unit: Dimension) -> tuple[float, str]:
    """How far above the common run a pause is set, and why there."""
    if p99 * MARGIN < _LEAST[unit]:
        return _LEAST[unit], f"no lower than {say(_LEAST[unit], unit)}; 99 of 100 readings keep far below"
    if unit is Dimension.RATIO and p99 < 1 <= p99 * MARGIN:
        return 1 - (1 - p99) / 2, "half of what 99 of 100 readings leave to 100 %"
    return p99 * MARGIN, f"{MARGIN:g} times what 99 of 100 readings keep to"


def _plain(condition: Condition) -> bool:
    terms = condition.terms
    return len(terms) == 1 and terms[0].op.startswith(">") and terms[0].limit.kind == "absolute"


def _rounded(value: float, unit: Dimension) -> float:
    """Upwards to two digits, in the unit that it is written in."""
    if unit is Dimension.COUNT:
        return float(math.ceil(value))
    if unit is Dimension.RATIO and 0.9 < value < 1:
        # Of what is left to 100 %, or nearly all would become 100 %, which no share of something is above.
        left = 1 - value
        step = 10.0 ** (math.floor(math.log10(left)) - 1)
        return float(f"{1 - math.floor(round(left / step, 6)) * step:.12g}")
    scale = 1.0
    if unit is Dimension.BYTES:
        scale = 1024.0 ** min(4, int(math.log(max(value, 1.0), 1024)))
    step = scale * 10.0 ** (math.floor(math.log10(value / scale)) - 1)
    return float(f"{math.ceil(round(value / step, 6)) * step:.12g}")


def _clash(rule: Rule, texts: Mapping[str, str]) -> str:
    """Why the new limits would not go with the rule's others; empty where they do."""
    try:
        resume = parse_condition(texts["resume"], rule.dimension)
        changed = dataclasses.replace(rule, pause=parse_condition(texts["pause"], rule.dimension), resume=resume)
    except ConditionError as wrong:
        return f"no limit could be written ({wrong})"
    rungs = {"pause": changed.pause, "cancel": changed.cancel, "rollback": changed.rollback}
    within = [name for name, rung in rungs.items() if rung is not None and both_can_hold(rung, resume)]
    return f"it would go on within its own {within[0]} limit" if within else ""


def _stretches(points: Sequence[Point], limit: float, longest_gap: float) -> list[float]:
    """Seconds for each unbroken series of readings above the limit."""
    found: list[float] = []
    began: float | None = None
    last = float("-inf")
    for point in points:
        above = point.value > limit
        if began is not None and (not above or point.wall - last > longest_gap):
            found.append(last - began)
            began = None
        if above:
            began, last = (point.wall if began is None else began), point.wall
    return found if began is None else [*found, last - began]


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def as_toml(suggestion: Suggestion) -> str:
    """A table to paste, its reasons as comments above it."""
    # Prometheus' own words may be several lines, and a line that is no comment would be pasted as a setting.
    comments = "".join(f"# {' '.join(reason.split())}\n" for reason in suggestion.reasons)
    width = max(len(key) for key in suggestion.keys)
    lines = "".join(f"{key:<{width}} = {_value(value)}\n" for key, value in suggestion.keys.items())
    return f"{comments}[[rule]]\n{lines}"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_value(each) for each in value)}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(key)} = {_value(each)}' for key, each in value.items())} }}"
    # The strings, numbers and truths of JSON are those of TOML, but for one character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
