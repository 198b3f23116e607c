"""For how long: what is remembered of a rule between two judgements, and which of its times are served. Pure."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from guard.model import Condition, Level, Rule

QUIET = 60.0
"""Seconds. Where there is too little to go by, a rule that paused lets go after this time without a bad reading: nobody
waits for ever for traffic that does not come, and what was bad has left the usual minute of a rate by then."""
LADDER = (Level.WARN, Level.PAUSE, Level.CANCEL, Level.ROLLBACK)
MEASURED_ONLY = (Level.CANCEL, Level.ROLLBACK)


@dataclass(frozen=True, slots=True)
class Streak:
    """What is remembered of a rule between two judgements; times are monotonic seconds."""

    breaches: tuple[float | None, ...] = (None, None, None, None)
    """Since when each rung of the ladder is breached: warn, pause, cancel, rollback."""
    silent_since: float | None = None
    heard_at: float | None = None
    """When the newest reading so far was taken, or the newest word that there is too little for one. None after a
    silence, which leaves nothing that a gap could end."""
    well_since: float | None = None
    quiet_since: float | None = None
    """Since when nothing was heard but that all is well or that there is too little to go by."""
    tripped: bool = False
    """It has stopped a migration and has not been well for its time since."""


def across_gap(rule: Rule, streak: Streak, taken_at: float) -> Streak:
    """Forget what only an unbroken series of readings can prove, where nobody judged while there was none.

    A process that was stopped for a while wakes up to a fresh reading and never sees the silence before it.
    """
    if streak.heard_at is None or taken_at < streak.heard_at + rule.stale_after:
        return streak
    return dataclasses.replace(streak, breaches=without_destructive(streak.breaches), well_since=None, quiet_since=None)


def without_destructive(breaches: tuple[float | None, ...]) -> tuple[float | None, ...]:
    """The same without those that need an unbroken series of readings."""
    return tuple(None if level in MEASURED_ONLY else at for level, at in zip(LADDER, breaches, strict=True))


def conditions(rule: Rule) -> tuple[Condition | None, ...]:
    """In the order of the ladder."""
    return (rule.warn, rule.pause, rule.cancel, rule.rollback)


def reached(
    rule: Rule, breaches: tuple[float | None, ...], evidence: float, now: float
) -> tuple[Level, float | None, float | None]:
    """Gravest level whose time is served, since when, and when the next one would be.

    A destructive level counts its time to the newest reading only: what follows cannot be taken back.
    """
    level, since, due = Level.FINE, None, None
    for rung, at, condition in zip(LADDER, breaches, conditions(rule), strict=True):
        if at is None or condition is None:
            continue
        until = evidence if rung in MEASURED_ONLY else now
        if until >= at + condition.duration:
            level, since = rung, at
        elif rung not in MEASURED_ONLY:
            due = earliest(due, at + condition.duration)
    return level, since, due


def is_well(rule: Rule, well_since: float | None, quiet_since: float | None, now: float) -> tuple[bool, float | None]:
    """Whether the time of `resume` is served, and when it would be."""
    if not rule.stops:
        return True, None
    end = earliest(
        None if well_since is None else well_since + rule.resume.duration,
        None if quiet_since is None else quiet_since + max(rule.resume.duration, QUIET),
    )
    served = end is not None and now >= end
    return served, None if served else end


def earliest(*times: float | None) -> float | None:
    """The first of those that there are."""
    return min((time for time in times if time is not None), default=None)
