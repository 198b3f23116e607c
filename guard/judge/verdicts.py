"""One rule against its latest sample. Pure: rule, memory, sample and `now` go in, a verdict and the memory come out.

How long a breach lasts counts from the first breaching reading until `now`. A silence neither ends nor proves a breach
that may pause; but nothing destructive follows unless readings alone, without a gap, span its whole time.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from guard.judge.conditions import Answer, say, say_seconds, truth
from guard.model import Ask, Condition, Level, NoData, Reading, Rule, Sample, Silence, Verdict

QUIET = 60.0
"""Seconds. Where there is too little to go by, a rule that paused lets go after this time without a bad reading: nobody
waits for ever for traffic that does not come, and what was bad has left the usual minute of a rate by then."""
_LADDER = (Level.WARN, Level.PAUSE, Level.CANCEL, Level.ROLLBACK)
_MEASURED_ONLY = (Level.CANCEL, Level.ROLLBACK)
_ASKS = {
    Level.FINE: Ask.PROCEED,
    Level.WARN: Ask.WARN,
    Level.PAUSE: Ask.PAUSE,
    Level.CANCEL: Ask.CANCEL,
    Level.ROLLBACK: Ask.ROLLBACK,
}


@dataclass(frozen=True, slots=True)
class Streak:
    """What is remembered of a rule between two judgements; times are monotonic seconds."""

    breaches: tuple[float | None, ...] = (None, None, None, None)
    """Since when each rung of the ladder is breached: warn, pause, cancel, rollback."""
    silent_since: float | None = None
    heard_at: float | None = None
    """When the newest reading so far was taken, or the newest word that there is too little for one."""
    well_since: float | None = None
    quiet_since: float | None = None
    """Since when nothing was heard but that all is well or that there is too little to go by."""
    tripped: bool = False
    """It has stopped a migration and has not been well for its time since."""


def judge(rule: Rule, streak: Streak, sample: Sample | None, now: float) -> tuple[Verdict, Streak]:
    """Judge the newest sample of a rule; None means that nothing has been heard yet."""
    sample = _aged(rule, sample, now)
    if isinstance(sample, Silence):
        follow = _judge_abstention if sample.abstains else _judge_silence
        return follow(rule, streak, sample, now)
    return _judge_reading(rule, streak, sample, now)


def _aged(rule: Rule, sample: Sample | None, now: float) -> Sample:
    if sample is None:
        return Silence(rule.sensor, "no reading yet", now)
    if now < sample.taken_at + rule.stale_after:
        return sample
    if isinstance(sample, Silence):
        return dataclasses.replace(sample, at_least=None, abstains=False)
    why = f"the last value, {say(sample.value, rule.dimension)}, is {say_seconds(now - sample.taken_at)} old"
    return Silence(rule.sensor, why, sample.taken_at + rule.stale_after)


def _judge_reading(rule: Rule, streak: Streak, reading: Reading, now: float) -> tuple[Verdict, Streak]:
    streak = _across_gap(rule, streak, reading.taken_at)
    answers = [_answer(condition, reading.value) for condition in _conditions(rule)]
    if unknown := _unknown_term(rule, answers, reading.value):
        silence = Silence(rule.sensor, f"it is {unknown}", reading.taken_at, reading.value)
        return _judge_silence(rule, streak, silence, now)
    breached = tuple(
        (since if since is not None else reading.taken_at) if answer is Answer.YES else None
        for since, answer in zip(streak.breaches, answers, strict=True)
    )
    # What divides by nothing says that something is wrong, and measures nothing: it may pause, and no more.
    breaches = breached if math.isfinite(reading.value) else _without_destructive(breached)
    well_since = quiet_since = None
    if _answer(rule.resume, reading.value) is Answer.YES:
        well_since = streak.well_since if streak.well_since is not None else reading.taken_at
        quiet_since = streak.quiet_since if streak.quiet_since is not None else reading.taken_at
    level, since, due = _reached(rule, breaches, reading.taken_at, now)
    well, well_due = _well(rule, well_since, quiet_since, now)
    ask = _ASKS[level]
    tripped = ask >= Ask.PAUSE or (streak.tripped and not well)
    after = Streak(breaches, None, reading.taken_at, well_since, quiet_since, tripped)
    if tripped and ask < Ask.PAUSE:
        ask = Ask.HOLD
    verdict = Verdict(
        rule=rule.name,
        level=level,
        ask=ask,
        because=_because(rule, reading, level, since=since, now=now),
        well=well,
        settled=True,
        since=since,
        due=_earliest(due, well_due, reading.taken_at + rule.stale_after),
        measured=level is not Level.FINE,
        harms=breached[_LADDER.index(Level.ROLLBACK)] is not None,
        taken_at=reading.taken_at,
        resume=_resume_words(rule, well_since, now),
        caused_by=reading.caused_by,
    )
    return verdict, after


def _across_gap(rule: Rule, streak: Streak, taken_at: float) -> Streak:
    """Forget what only an unbroken series of readings can prove, where nobody judged while there was none.

    A process that was stopped for a while wakes up to a fresh reading and never sees the silence before it.
    """
    if streak.heard_at is None or taken_at < streak.heard_at + rule.stale_after:
        return streak
    return dataclasses.replace(
        streak, breaches=_without_destructive(streak.breaches), well_since=None, quiet_since=None
    )


def _without_destructive(breaches: tuple[float | None, ...]) -> tuple[float | None, ...]:
    return tuple(None if level in _MEASURED_ONLY else at for level, at in zip(_LADDER, breaches, strict=True))


def _judge_silence(rule: Rule, streak: Streak, silence: Silence, now: float) -> tuple[Verdict, Streak]:
    since = min(silence.taken_at, now) if streak.silent_since is None else streak.silent_since
    kept = _without_destructive(streak.breaches)
    proven = _proven_part(rule, kept, silence)
    level, breach_since, breach_due = _reached(rule, proven, silence.taken_at, now)
    kept = tuple(then if then is not None else at for then, at in zip(kept, proven, strict=True))
    served = now >= since + rule.no_data_for
    due = None if served else since + rule.no_data_for
    ask, settled = Ask.HOLD, served
    if rule.no_data is NoData.IGNORE or not rule.stops:
        ask, settled = Ask.PROCEED, True
    elif rule.no_data is NoData.PAUSE and served:
        ask = Ask.PAUSE
    elif rule.no_data is NoData.HOLD:
        settled = True
    words = f"{_signal(rule)} is unknown for {say_seconds(now - since)}: {silence.why}"
    if level is Level.PAUSE:
        ask, words = Ask.PAUSE, f"{words}; at least {say(silence.at_least or 0.0, rule.dimension)} is certain"
    well = not rule.stops or rule.no_data is NoData.IGNORE
    after = Streak(kept, since, streak.heard_at, tripped=streak.tripped or ask is Ask.PAUSE)
    verdict = Verdict(
        rule=rule.name,
        level=Level.UNKNOWN,
        ask=ask,
        because=words,
        well=well,
        settled=settled,
        since=breach_since if level is Level.PAUSE else since,
        due=_earliest(due, breach_due),
        harms=False if rule.rollback is None else None,
        resume=f"{_signal(rule)} must be known again and {_resume_words(rule, None, now)}",
    )
    return verdict, after


def _judge_abstention(rule: Rule, streak: Streak, silence: Silence, now: float) -> tuple[Verdict, Streak]:
    """Too little to go by: no breach goes on, none begins, and a migration that was paused is not let go at once.

    A breach has to be seen in readings without a gap, or an hour of nothing would count as an hour of errors.
    """
    streak = _across_gap(rule, streak, silence.taken_at)
    quiet_since = streak.quiet_since if streak.quiet_since is not None else silence.taken_at
    well, well_due = _well(rule, None, quiet_since, now)
    tripped = streak.tripped and not well
    lasting = say_seconds(max(rule.resume.duration, QUIET))
    verdict = Verdict(
        rule=rule.name,
        level=Level.FINE,
        ask=Ask.HOLD if tripped else Ask.PROCEED,
        because=f"{_signal(rule)} abstains: {silence.why}",
        well=well,
        settled=True,
        due=_earliest(well_due, silence.taken_at + rule.stale_after),
        harms=False if rule.rollback is None else None,
        taken_at=silence.taken_at,
        resume=f"{_resume_words(rule, None, now)}, or {lasting} without a bad value",
    )
    return verdict, Streak(heard_at=silence.taken_at, quiet_since=quiet_since, tripped=tripped)


def _proven_part(rule: Rule, kept: tuple[float | None, ...], silence: Silence) -> tuple[float | None, ...]:
    """Breaches that the measured part of an otherwise unknown value proves by itself, each with its beginning.

    One that was seen before and is not proven now is not among them: it has not ended, but nobody knows that it lasts.
    """
    return tuple(
        (silence.taken_at if since is None else since)
        if level not in _MEASURED_ONLY and condition is not None and _proves(condition, silence.at_least)
        else None
        for level, since, condition in zip(_LADDER, kept, _conditions(rule), strict=True)
    )


def _proves(condition: Condition, at_least: float | None) -> bool:
    return truth(condition, None, at_least=at_least).answer is Answer.YES


def _conditions(rule: Rule) -> tuple[Condition | None, ...]:
    return (rule.warn, rule.pause, rule.cancel, rule.rollback)


def _answer(condition: Condition | None, value: float) -> Answer:
    return Answer.NO if condition is None else truth(condition, value).answer


def _unknown_term(rule: Rule, answers: list[Answer], value: float) -> str:
    """Why a limit cannot be judged although the value is known; empty where a graver one is breached for certain."""
    gravest = max((i for i, answer in enumerate(answers) if answer is not Answer.NO), default=None)
    if gravest is None or answers[gravest] is not Answer.UNKNOWN:
        return ""
    condition = _conditions(rule)[gravest]
    return truth(condition, value, dimension=rule.dimension).words if condition else ""


def _reached(
    rule: Rule, breaches: tuple[float | None, ...], evidence: float, now: float
) -> tuple[Level, float | None, float | None]:
    """Gravest level whose time is served, since when, and when the next one would be.

    A destructive level counts its time to the newest reading only: what follows cannot be taken back.
    """
    level, since, due = Level.FINE, None, None
    for rung, at, condition in zip(_LADDER, breaches, _conditions(rule), strict=True):
        if at is None or condition is None:
            continue
        until = evidence if rung in _MEASURED_ONLY else now
        if until >= at + condition.duration:
            level, since = rung, at
        elif rung not in _MEASURED_ONLY:
            due = _earliest(due, at + condition.duration)
    return level, since, due


def _well(rule: Rule, well_since: float | None, quiet_since: float | None, now: float) -> tuple[bool, float | None]:
    if not rule.stops:
        return True, None
    end = _earliest(
        None if well_since is None else well_since + rule.resume.duration,
        None if quiet_since is None else quiet_since + max(rule.resume.duration, QUIET),
    )
    served = end is not None and now >= end
    return served, None if served else end


def _signal(rule: Rule) -> str:
    """What is measured, for people: that a number came by HTTP or a query does not tell which one it is."""
    return f"{rule.name} ({rule.metric})" if rule.metric in {"http", "prometheus", "sql"} else rule.series


def _because(rule: Rule, reading: Reading, level: Level, *, since: float | None, now: float) -> str:
    value = say(reading.value, rule.dimension)
    about = [part for part in (reading.detail, f"{say_seconds(round(now - reading.taken_at, 3))} old") if part]
    tail = f" ({', '.join(about)})"
    if level is Level.FINE or since is None:
        return f"{_signal(rule)} {value}{tail}"
    condition = _conditions(rule)[_LADDER.index(level)]
    limit = condition.text if condition else ""
    # Where no time is asked for, the first second of a breach is no news of its own.
    lasting = now - since >= 1 or (condition is not None and condition.duration > 0)
    lasts = f", now for {say_seconds(round(now - since, 2))}" if lasting else ""
    return f"{_signal(rule)} {value} {limit}{lasts}{tail}"


def _resume_words(rule: Rule, well_since: float | None, now: float) -> str:
    if well_since is None:
        return f"{_signal(rule)} {rule.resume.text}"
    return f"{_signal(rule)} {rule.resume.text}: well for {say_seconds(now - well_since)}"


def _earliest(*times: float | None) -> float | None:
    return min((time for time in times if time is not None), default=None)
