"""A run in a few lines, for the message of its end: how long, how much, how often and by what it was paused. Pure."""

from __future__ import annotations

from guard.cycle.courses import Course, Signal
from guard.judge.moments import say_clock, say_moment
from guard.judge.quantities import say, say_seconds
from guard.judge.sparkline import line
from guard.judge.verdicts import signal_of
from guard.model import Account, Condition, Found, Rule, Run, State

WIDTH = 24
"""Of the line of bars: it stands in one line on a phone."""
MOST = 4
"""Signals whose worst value is told; the report of the run has all."""
LEAST = 8
"""Bars: fewer show nothing that the words do not."""
CHART = "chart"
"""The field that holds the line of bars, below a line of words."""


def digest(state: State, course: Course, wall: float, *, observing: bool = False) -> dict[str, str]:
    """What befell a run; empty for sessions that registered nothing, and for one that never began."""
    account = state.account
    if state.run_id is None or account.began_wall is None:
        return {}
    took = max(0.0, (account.over_wall or wall) - account.began_wall)
    paused = "would have been paused" if observing else "paused"
    told = {
        "took": f"{say_seconds(round(took, 1))}, since {say_moment(account.began_wall)}",
        "done": _done(course.run, _at_work(account, took, observing=observing)),
        paused: _paused(account) + _doubt(account),
        "cancelled": _times(account.cut_off) if account.cut_off else "",
        "checks": checks(state.after),
        "worst": _worst(course, account, wall),
        CHART: _chart(course, account),
    }
    return {name: words for name, words in told.items() if words}


def progress(run: Run) -> str:
    """How far it has come, by its own word."""
    if not run.rows_done and not run.batches_done:
        return "nothing reported yet"
    batches = f" in {_many(run.batches_done, 'batch', 'batches')}" if run.batches_done else ""
    return _many(run.rows_done, "row", "rows") + batches


def _at_work(account: Account, took: float, *, observing: bool) -> float:
    """Seconds in which nobody held it; 0 where that is not known."""
    if account.mixed or account.overridden:
        return 0.0
    return took if observing else took - account.paused


def _doubt(account: Account) -> str:
    """What the times of its pauses do not mean."""
    doubts = ["in part in observe mode, which held nobody"] if account.mixed else []
    doubts += ["an operator let it go on meanwhile"] if account.overridden else []
    return "".join(f"; {doubt}" for doubt in doubts)


def _done(run: Run | None, at_work: float) -> str:
    if run is None or not (run.rows_done or run.batches_done):
        return ""
    speed = f", {run.rows_done / at_work:,.0f} rows a second while at work" if at_work >= 1 and run.rows_done else ""
    return progress(run) + speed


def _many(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _paused(account: Account) -> str:
    if not account.pauses:
        return "never"
    total, longest = (say_seconds(round(each, 1)) for each in (account.paused, account.longest))
    times = f"once, for {total}"
    if account.pauses > 1:
        times = f"{account.pauses} times, for {total} in all and {longest} at the longest"
    several = len(account.by) > 1
    by = ", ".join(f"{rule} ({_times(count)})" if several else rule for rule, count in account.by)
    return f"{times}, by {by}" if by else times


def checks(after: tuple[Found, ...]) -> str:
    """What came of the checks of its data."""
    words = {True: "holds", False: "DOES NOT HOLD", None: "not known"}
    return ", ".join(f"{found.check} {words[found.holds]}" for found in after)


def _worst(course: Course, account: Account, wall: float) -> str:
    """The worst value of each rule, those that paused it first."""
    ordered = sorted(course.signals.values(), key=lambda signal: (-_blame(account, signal), signal.rule.name))
    known = [_with_limit(signal, *signal.trace.worst, wall) for signal in ordered if signal.trace.worst is not None]
    more = f"; and {len(known) - MOST} more" if len(known) > MOST else ""
    return "; ".join(known[:MOST]) + more + ("" if course.whole else known_since(course, wall)) if known else ""


def known_since(course: Course, wall: float) -> str:
    """What a guard that was started anew does not know."""
    at = say_clock(course.since_wall, wall)
    return f"; known only since {at}, when the guard was started anew"


def _with_limit(signal: Signal, value: float, at: float, wall: float) -> str:
    rule = signal.rule
    limit = _limit(rule)
    told = f" (limit {limit.text})" if limit else ""
    return f"{signal_of(rule)} {say(value, rule.dimension)}{told} at {say_clock(at, wall)}"


def _limit(rule: Rule) -> Condition | None:
    return next((each for each in (rule.pause, rule.cancel, rule.rollback, rule.warn) if each is not None), None)


def _blame(account: Account, signal: Signal) -> int:
    return dict(account.by).get(signal.rule.name, 0)


def _chart(course: Course, account: Account) -> str:
    """The signal that paused it most; none, where none did."""
    blamed = [signal for signal in course.signals.values() if _blame(account, signal) and signal.trace.worst]
    if not blamed:
        return ""
    signal = max(blamed, key=lambda each: _blame(account, each))
    if len(signal.trace.values) < LEAST or not any(signal.trace.marked):
        return ""
    known = [value for value in signal.trace.values if value is not None]
    low, high = (say(value, signal.rule.dimension) for value in (min(known), max(known)))
    bars = line(signal.trace.values, WIDTH, marked=signal.trace.marked)
    return f"{signal_of(signal.rule)}, {low} to {high}, paused in [ ]\n{bars}"
