"""Makes the timeline of one run out of the flight recorder's frames, one after the other, in bounded memory.

It reads what guard/cycle/tape.py writes, and decides nothing anew. A frame that was lost costs what it said: the next
whole one tells the phases again, and the readings of the others stand for themselves.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from guard.model import EVERYONE, Dimension, Phase
from guard.model.sensors import METRICS
from guard.show.thinning import Steps, Thinned, Values
from guard.show.timeline import (
    STAGES,
    Band,
    LimitLine,
    Mark,
    Point,
    Progress,
    Signal,
    Timeline,
    with_gaps,
    words_of,
)

Frame = Mapping[str, Any]
RUNGS: Final = ("resume", "warn", "pause", "cancel", "rollback")
"""Gravest last."""
_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip
_STAGE_OF: Final = {
    Phase.WAITING: "before",
    Phase.RUNNING: "running",
    Phase.STRAINED: "running",
    Phase.PAUSED: "paused",
}
_NEWS: Final = {
    "start": ("guard_started", "the guard was started again"),
    "rules": ("reconfigured", "the configuration was read again"),
    "moved": ("moved", "the guard leads on another server or timeline"),
}
"""What a whole frame may tell beside the rest, by why it is one."""
_MOST_BANDS: Final = 500
_MOST_MARKS: Final = 200
"""Of a run that flaps for days the newest are kept."""


@dataclass(slots=True)
class _Trace:
    """One sensor."""

    thinned: Thinned = field(default_factory=Thinned)
    stages: dict[str, Values] = field(default_factory=dict)
    taken_at: float = float("-inf")
    readings: int = 0
    silences: int = 0
    worst: Point | None = None
    past: set[str] = field(default_factory=set)


class Tracing:
    """The timeline of (migration, run id) between two Unix times; no end: until the last frame.

    What lies outside is not drawn, and still counts as a reading before or after the run.
    """

    def __init__(self, database: str, run: tuple[str, int | None], *, since: float, until: float | None = None) -> None:
        self._database, self._run = database, run
        self._since, self._until = since, until
        self._traces: dict[str, _Trace] = {}
        self._rules: dict[str, list[Frame]] = {}
        self._less_is_worse: set[str] = set()
        self._baselines: dict[str, float] = {}
        self._state: dict[str, Any] | None = None
        self._over = False
        self._bands: list[Band] = []
        self._marks: list[Mark] = []
        self._steps = Steps()
        self._muted: set[str] = set()
        self._done: tuple[int, int] | None = None
        self._number: int | None = None
        self._wall = since
        self._missing = 0.0

    # -- reading -------------------------------------------------------------------------------------------------------

    def take(self, frame: Frame) -> None:
        """The next frame. Raises ValueError, KeyError or TypeError where it is of a version that cannot be read."""
        whole, wall = frame.get("whole"), float(frame["w"])
        self._follow_numbers(frame, whole, wall)
        if whole is not None:
            self._take_whole(whole, wall)
        if "b" in frame:
            known = {of: each for of, each in frame["b"].items() if not isinstance(each, str)}
            self._baselines = {of: float(each["value"]) for of, each in known.items()}
        for sample in frame.get("s", ()):
            self._take_sample(sample, wall - float(frame["t"]))
        if "m" in frame or whole is not None:
            self._take_mutes(frame.get("m", ()), wall)
        # First, since what is decided on its last word may be that it is over.
        self._take_progress(frame.get("p", {}), wall)
        for entry in frame.get("d", ()):
            if (entry["id"][0], entry["id"][1]) == self._run:
                self._take_entry(entry, wall)
        if any((migration, run_id) == self._run for migration, run_id in frame.get("closed", ())):
            self._end(wall)

    def _follow_numbers(self, frame: Frame, whole: Frame | None, wall: float) -> None:
        number, expected = int(frame["n"]), None if self._number is None else self._number + 1
        why = "" if whole is None else str(whole["why"])
        if why in _NEWS and expected is not None and self._state is not None and not self._over:
            self._mark(wall, *_NEWS[why])
        if why != "start" and expected is not None and number != expected:
            self._missing += max(0.0, wall - self._wall)
        self._number, self._wall = number, wall

    def _take_whole(self, whole: Frame, wall: float) -> None:
        self._rules = {}
        for rule in whole.get("limits", ()):
            self._rules.setdefault(rule["sensor"], []).append(rule)
        self._less_is_worse = {sensor for sensor, rules in self._rules.items() if _less_is_worse(rules)}
        for state in whole["states"]:
            if (state["migration"], state["run_id"]) == self._run:
                self._be(state, wall)

    def _take_entry(self, entry: Frame, wall: float) -> None:
        if "new" in entry:
            self._be(entry["new"], wall)
        for change in (entry.get("set"), entry.get("after")):
            if change:
                self._be({**(self._state or {}), **change}, wall)

    def _be(self, state: Mapping[str, Any], wall: float) -> None:
        before, self._state = self._state or {}, dict(state)
        phase, cancels = str(state["phase"]), int(state.get("cancels") or 0)
        if phase != before.get("phase"):
            self._turn(Band(phase, wall, None, str(state.get("because", ""))), wall)
        if before and cancels > int(before.get("cancels") or 0):
            self._mark(wall, "cancelled", f"cancelled: {state.get('because', '')}".rstrip(": "))
        held, band = state.get("effective_since_wall"), self._bands[-1] if self._bands else None
        if phase == Phase.PAUSED and held is not None and band is not None and band.effective_after is None:
            after = max(0.0, float(held) - float(state["since_wall"]))
            self._bands[-1] = Band(band.kind, band.since, band.until, band.because, after)
        self._over = self._over or phase == Phase.DONE

    def _turn(self, band: Band, wall: float) -> None:
        if self._bands and (last := self._bands[-1]).until is None:
            self._bands[-1] = Band(last.kind, last.since, wall, last.because, last.effective_after)
        if band.kind != Phase.DONE:
            self._bands.append(band)
        del self._bands[:-_MOST_BANDS]

    def _end(self, wall: float) -> None:
        self._turn(Band(Phase.DONE, wall, None), wall)
        self._over = True

    def _mark(self, wall: float, kind: str, words: str) -> None:
        self._marks.append(Mark(wall, kind, words))
        del self._marks[:-_MOST_MARKS]

    def _take_mutes(self, mutes: Iterable[tuple[str, str]], wall: float) -> None:
        now = {rule for rule, migration in mutes if migration in {self._run[0], EVERYONE}}
        for rules, words in ((now - self._muted, "muted"), (self._muted - now, "unmuted")):
            for rule in sorted(rules):
                self._mark(
                    wall, words, f"rule {rule} was {words} by an operator" if rule else f"{words} by an operator"
                )
        self._muted = now

    def _take_progress(self, done: Frame, wall: float) -> None:
        if (now := done.get(str(self._run[1]))) is not None:
            self._done = (int(now[0]), int(now[1]))
        # Also where nothing was done: that is what a pause looks like.
        if self._done is not None and not self._over:
            self._steps.add(Progress(wall, *self._done))

    def _take_sample(self, sample: list[Any], offset: float) -> None:
        sensor, value, taken_at, words, _ = sample
        trace = self._traces.setdefault(sensor, _Trace())
        if taken_at == trace.taken_at:
            return  # a whole frame says again what was said before
        trace.taken_at = taken_at
        known = value is not None and not math.isnan(value)
        point = Point(taken_at + offset, float(value) if known else None, "" if known else str(words))
        if self._since <= point.wall and (self._until is None or point.wall <= self._until):
            trace.thinned.add(point)
        if point.value is None:
            trace.silences += 1
        else:
            self._measure(sensor, trace, point, point.value)

    def _measure(self, sensor: str, trace: _Trace, point: Point, value: float) -> None:
        phase = None if self._state is None else Phase(self._state["phase"])
        stage = "before" if phase is None else "after" if self._over else _STAGE_OF.get(phase, "after")
        trace.readings += 1
        trace.stages.setdefault(stage, Values()).add(value)
        if stage not in {"running", "paused"}:
            return
        worst = trace.worst.value if trace.worst is not None else None
        if worst is None or (value < worst if sensor in self._less_is_worse else value > worst):
            trace.worst = point
        for rule in self._rules.get(sensor, ()):
            trace.past |= {rung for rung in rule["rungs"] if rung != "resume" and self._holds(rule, rung, value)}

    # -- limits --------------------------------------------------------------------------------------------------------

    def _figure(self, rule: Frame, limit: float, kind: str) -> float | None:
        if kind == "absolute":
            return limit
        baseline = self._baselines.get(rule.get("of", ""))
        if baseline is None:
            return None
        return baseline * limit if kind == "factor" else baseline + limit

    def _holds(self, rule: Frame, rung: str, value: float) -> bool:
        condition = rule["rungs"][rung]
        figures = [(op, self._figure(rule, limit, kind)) for op, limit, kind in condition["terms"]]
        each = [figure is not None and _COMPARE[op](value, figure) for op, figure in figures]
        return any(each) if condition["any"] else all(each)

    def _lines(self, rule: Frame, dimension: Dimension) -> Iterable[LimitLine]:
        for rung in (*RUNGS[1:], RUNGS[0]):
            condition = rule["rungs"].get(rung)
            if condition is None or (rung == "resume" and not rule.get("stops", True)):
                continue
            known = [
                LimitLine(rule["rule"], rung, op, figure, words_of(rung, (op, limit, kind), figure, dimension))
                for op, limit, kind in condition["terms"]
                if (figure := self._figure(rule, limit, kind)) is not None
            ]
            yield from _decisive(known, any_of=condition["any"])

    # -- the result ----------------------------------------------------------------------------------------------------

    def timeline(self) -> Timeline:
        """What is known by now."""
        signals = [self._signal(sensor, trace) for sensor, trace in self._traces.items()]
        signals.sort(key=lambda signal: (-max(map(RUNGS.index, signal.past), default=0), signal.name))
        until = self._wall if self._until is None else self._until
        return Timeline(
            self._database,
            self._run[0],
            self._run[1],
            self._since,
            max(until, self._since),
            tuple(signals),
            tuple(self._bands),
            tuple(self._marks),
            self._steps.steps(),
            self._missing,
        )

    def _signal(self, sensor: str, trace: _Trace) -> Signal:
        rules = self._rules.get(sensor, [])
        dimension = Dimension(rules[0]["unit"]) if rules else _usual_dimension(sensor)
        longest = max([float(rule["stale"]) for rule in rules], default=5.0)
        worse = sensor in self._less_is_worse
        baselines = [self._baselines[rule["of"]] for rule in rules if rule.get("of") in self._baselines]
        return Signal(
            sensor,
            str(rules[0]["metric"]) if rules else sensor,
            tuple(str(rule["rule"]) for rule in rules),
            dimension,
            with_gaps(trace.thinned.points(), max(longest, 2.5 * trace.thinned.width)),
            tuple(line for rule in rules for line in self._lines(rule, dimension)),
            baselines[0] if baselines else None,
            tuple(trace.stages[name].stage(name, less_is_worse=worse) for name in STAGES if name in trace.stages),
            trace.readings,
            trace.silences,
            trace.worst,
            tuple(sorted(trace.past, key=RUNGS.index)),
        )


def _decisive(lines: list[LimitLine], *, any_of: bool) -> list[LimitLine]:
    """Of `> a and > b` the greater, of `<= a or <= b` too: the other can never tell the difference."""
    ways = {line.op[0] for line in lines}
    if len(lines) < 2 or len(ways) > 1:
        return lines
    greatest = (ways == {">"}) is not any_of
    return [(max if greatest else min)(lines, key=lambda line: line.value)]


def _usual_dimension(sensor: str) -> Dimension:
    """Of a metric that no rule asks for: it came along with another."""
    metric = METRICS.get(re.split(r"[{|]", sensor)[0])
    return metric.dimension if metric is not None else Dimension.COUNT


def _less_is_worse(rules: list[Frame]) -> bool:
    breaches = [condition for rule in rules for rung, condition in rule["rungs"].items() if rung != "resume"]
    return bool(breaches) and all(term[0].startswith("<") for condition in breaches for term in condition["terms"])
