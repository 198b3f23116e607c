"""How the signals of each run go: its readings in bounded memory, and the worst of them. For words alone.

Nothing is decided by it and nothing of it is written down: what befell a run is in its account (guard.model.account).
A guard that is started anew knows a course from then on only, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Container
from dataclasses import dataclass, field

from guard.cycle.board import Board
from guard.cycle.values import Key
from guard.judge.traces import Trace
from guard.model import Ask, Finding, Phase, Reading, Rule, Run, State

_BEGUN = (Phase.RUNNING, Phase.STRAINED, Phase.PAUSED)


@dataclass(slots=True)
class Signal:
    """One rule's signal through a run."""

    rule: Rule
    trace: Trace
    peak: tuple[float, float] | None = None
    """The worst value since the rule was well last, or since the run was paused; and when, as Unix time."""


@dataclass(slots=True)
class Course:
    """One run, as far as this guard has seen it."""

    since_wall: float
    whole: bool
    """It was seen from before its beginning."""
    signals: dict[str, Signal] = field(default_factory=dict)
    """By rule; of those that concern the run, as they are now."""
    fired: tuple[str, ...] = ()
    """Rules that have asked for the present pause."""
    paused: bool = False
    """When it was looked at last."""
    run: Run | None = None
    """The roster's last word on it."""


class Courses:
    """The courses of the runs under guard; one that was let go of is forgotten."""

    def __init__(self) -> None:
        self._courses: dict[Key, Course] = {}

    def keep(self, keys: Container[Key]) -> None:
        """Forget all others."""
        self._courses = {key: course for key, course in self._courses.items() if key in keys}

    def of(self, state: State, wall: float) -> Course:
        """Of one run; an empty one where it was never followed."""
        return self._courses.get((state.migration, state.run_id)) or Course(wall, whole=False)

    def follow(self, state: State, finding: Finding, board: Board, *, now: float, wall: float) -> None:
        """Take in what is known of a run, once that was judged and before anything is decided by it."""
        key = (state.migration, state.run_id)
        course = self._courses.get(key)
        if course is None:
            course = self._courses[key] = Course(wall, whole=state.phase is Phase.WAITING)
        course.run = board.run(state.run_id) or course.run
        if state.phase not in _BEGUN:
            return
        paused = state.phase is Phase.PAUSED
        asking = (verdict.rule for verdict in finding.verdicts if verdict.ask >= Ask.PAUSE)
        over, course.paused = course.paused and not paused, paused
        course.fired = tuple(dict.fromkeys((*(course.fired if paused else ()), *asking)))
        rules, known = {rule.name: rule for rule in board.rules}, course.signals
        course.signals = {}
        for verdict in finding.verdicts:
            rule = rules[verdict.rule]
            signal = known.get(rule.name)
            if signal is None or signal.rule.sensor != rule.sensor:
                signal = Signal(rule, Trace(now, less_is_worse=less_is_worse(rule)))
            signal.rule = rule
            course.signals[rule.name] = signal
            reading = _fresh(board, rule, now)
            taken = None if reading is None else (reading.value, wall - (now - reading.taken_at))
            signal.trace.add(now, taken, marked=paused)
            _note_peak(signal, taken, over=over or (verdict.well and not paused))


def _fresh(board: Board, rule: Rule, now: float) -> Reading | None:
    sample = board.samples.get(rule.sensor)
    known = isinstance(sample, Reading) and not math.isnan(sample.value) and now < sample.taken_at + rule.stale_after
    return sample if known and isinstance(sample, Reading) else None


def _note_peak(signal: Signal, taken: tuple[float, float] | None, *, over: bool) -> None:
    if over:
        signal.peak = None
    elif taken is not None and (signal.peak is None or _worse(taken[0], signal.peak[0], signal.rule)):
        signal.peak = taken


def _worse(one: float, other: float, rule: Rule) -> bool:
    return one < other if less_is_worse(rule) else one > other


def less_is_worse(rule: Rule) -> bool:
    """Whether its limits are kept from above."""
    limits = (each for each in (rule.pause, rule.cancel, rule.rollback, rule.warn) if each is not None)
    return any(condition.terms[0].op.startswith("<") for condition in limits)
