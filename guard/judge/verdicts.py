"""One rule against its latest sample. Pure: rule, memory, sample and `now` go in, a verdict and the memory come out.

How long a breach lasts counts from the first breaching reading until `now`. A silence neither ends nor proves a breach
that may pause; but nothing destructive follows unless readings alone, without a gap, span its whole time.
"""

from __future__ import annotations

import dataclasses
import math

from guard.judge.baselines import NONE_YET, Known, goes_by_baseline, is_relative, value_of, words
from guard.judge.conditions import Answer, say, say_beside, say_seconds, truth
from guard.judge.streaks import (
    LADDER,
    MEASURED_ONLY,
    QUIET,
    Streak,
    across_gap,
    conditions,
    earliest,
    is_well,
    reached,
    without_destructive,
)
from guard.model import Ask, Baseline, Condition, Level, NoData, Reading, Rule, Sample, Silence, Verdict

__all__ = ["QUIET", "Streak", "judge", "signal_of"]

_ASKS = {
    Level.FINE: Ask.PROCEED,
    Level.WARN: Ask.WARN,
    Level.PAUSE: Ask.PAUSE,
    Level.CANCEL: Ask.CANCEL,
    Level.ROLLBACK: Ask.ROLLBACK,
}


def judge(
    rule: Rule, streak: Streak, sample: Sample | None, now: float, *, known: Known = NONE_YET
) -> tuple[Verdict, Streak]:
    """Judge the newest sample of a rule; None means that nothing has been heard yet.

    *known*: the baseline of what the rule asks, or why there is none.
    """
    sample = _aged(rule, sample, now)
    if isinstance(sample, Reading):
        return _judge_reading(rule, streak, sample, now, known=known)
    if sample.abstains:
        return _judge_abstention(rule, streak, sample, now, known=known)
    return _judge_silence(rule, streak, sample, now, known=known)


def _aged(rule: Rule, sample: Sample | None, now: float) -> Sample:
    if sample is None:
        return Silence(rule.sensor, "no reading yet", now)
    if now < sample.taken_at + rule.stale_after:
        return sample
    if isinstance(sample, Silence):
        return dataclasses.replace(sample, at_least=None, abstains=False)
    why = f"the last value, {say(sample.value, rule.dimension)}, is {say_seconds(now - sample.taken_at)} old"
    return Silence(rule.sensor, why, sample.taken_at + rule.stale_after)


def _judge_reading(rule: Rule, streak: Streak, reading: Reading, now: float, *, known: Known) -> tuple[Verdict, Streak]:
    streak = across_gap(rule, streak, reading.taken_at)
    answers = [_answer(condition, reading.value, known) for condition in conditions(rule)]
    breached = tuple(
        (since if since is not None else reading.taken_at) if answer is Answer.YES else None
        for since, answer in zip(streak.breaches, answers, strict=True)
    )
    # What divides by nothing says that something is wrong, and measures nothing: it may pause, and no more.
    breaches = breached if math.isfinite(reading.value) else without_destructive(breached)
    if Answer.UNKNOWN in answers[1:]:
        return _judge_in_part(rule, streak, reading, now, known=known, breaches=breaches)
    well_since = quiet_since = None
    if _may_resume(rule, answers, reading.value, known):
        well_since = streak.well_since if streak.well_since is not None else reading.taken_at
        quiet_since = streak.quiet_since if streak.quiet_since is not None else reading.taken_at
    level, since, due = reached(rule, breaches, reading.taken_at, now)
    well, well_due = is_well(rule, well_since, quiet_since, now)
    ask = _ASKS[level]
    tripped = ask >= Ask.PAUSE or (streak.tripped and not well)
    after = Streak(breaches, None, reading.taken_at, well_since, quiet_since, tripped)
    if tripped and ask < Ask.PAUSE:
        ask = Ask.HOLD
    blind = level is Level.FINE and Answer.UNKNOWN in answers
    verdict = Verdict(
        rule=rule.name,
        level=Level.UNKNOWN if blind else level,
        ask=ask,
        because=_because(rule, reading, level, since=since, now=now) + _beside(rule, known),
        well=well,
        settled=True,
        since=since,
        due=earliest(due, well_due, reading.taken_at + rule.stale_after),
        measured=level is not Level.FINE,
        harms=breached[LADDER.index(Level.ROLLBACK)] is not None,
        taken_at=reading.taken_at,
        resume=_resume_words(rule, known, well_for=None if well_since is None else now - well_since),
        caused_by=reading.caused_by,
        baseline=_baseline(rule, known),
        well_at=_well_at(rule, now, well_due, well=well),
    )
    return verdict, after


def _well_at(rule: Rule, now: float, due: float | None, *, well: bool) -> float | None:
    """The earliest moment at which it may be well: *due* where its time runs, else that long from now."""
    if well:
        return None
    return now + rule.resume.duration if due is None else due


def _may_resume(rule: Rule, answers: list[Answer], value: float, known: Known) -> bool:
    """Without a baseline nobody can say that a value is back within one: then each limit must be known to be kept to.

    Else a migration that was paused would wait for ever for a baseline that can only be taken before it begins.
    """
    none = isinstance(known, str) or _of_nothing(rule, known)
    answer = _answer(rule.resume, value, NONE_YET if none else known)
    kept = all(each is Answer.NO for each in answers[1:])
    return answer is Answer.YES or (answer is Answer.UNKNOWN and kept and none)


def _of_nothing(rule: Rule, known: Baseline) -> bool:
    """Whether `resume` asks for less than a multiple of nothing: what is usually 0, such as errors, is never below."""
    factors = any(term.limit.kind == "factor" for term in rule.resume.terms)
    return known.value <= 0 and factors and not rule.resume.any_of


def _judge_in_part(
    rule: Rule, streak: Streak, reading: Reading, now: float, *, known: Known, breaches: tuple[float | None, ...]
) -> tuple[Verdict, Streak]:
    """A limit that may stop cannot be judged: what a silence asks for, unless a limit that can be asks for more."""
    since = min(reading.taken_at, now) if streak.silent_since is None else streak.silent_since
    level, breach_since, breach_due = reached(rule, breaches, reading.taken_at, now)
    wish, settled, due = _by_policy(rule, since, now)
    ask, certain = max(_ASKS[level], wish), level not in {Level.FINE, Level.WARN}
    answers = [_answer(condition, reading.value, known) for condition in conditions(rule)]
    # A warning's or a pause's time goes on while nobody knows; what is destructive needs an unbroken series.
    kept = tuple(
        then if answer is Answer.UNKNOWN else at
        for then, at, answer in zip(without_destructive(streak.breaches), breaches, answers, strict=True)
    )
    because = _because(rule, reading, level, since=breach_since, now=now) + _beside(rule, known)
    if not certain:
        because = f"{signal_of(rule)} is unknown for {say_seconds(now - since)}: it is {_open(rule, reading, known)}"
    well = rule.no_data is NoData.IGNORE and not certain
    verdict = Verdict(
        rule=rule.name,
        level=level if certain else Level.UNKNOWN,
        ask=ask,
        because=because,
        well=well,
        settled=settled,
        since=breach_since if certain else since,
        due=earliest(due, breach_due, reading.taken_at + rule.stale_after),
        measured=certain,
        harms=None if answers[-1] is Answer.UNKNOWN else answers[-1] is Answer.YES,
        taken_at=reading.taken_at,
        resume=_resume_words(rule, known),
        caused_by=reading.caused_by,
        baseline=_baseline(rule, known),
        well_at=_well_at(rule, now, None, well=well),
    )
    return verdict, Streak(kept, since, reading.taken_at, tripped=streak.tripped or ask >= Ask.PAUSE)


def _open(rule: Rule, reading: Reading, known: Known) -> str:
    """Which limit cannot be judged, the gravest of them, and why."""
    open_ones = [c for c in conditions(rule) if c and _answer(c, reading.value, known) is Answer.UNKNOWN]
    why = f" ({known})" if isinstance(known, str) and is_relative(open_ones[-1]) else ""
    return truth(open_ones[-1], reading.value, baseline=value_of(known), dimension=rule.dimension).words + why


def _judge_silence(rule: Rule, streak: Streak, silence: Silence, now: float, *, known: Known) -> tuple[Verdict, Streak]:
    since = min(silence.taken_at, now) if streak.silent_since is None else streak.silent_since
    kept = without_destructive(streak.breaches)
    proven = _proven_part(rule, kept, silence, known)
    level, breach_since, breach_due = reached(rule, proven, silence.taken_at, now)
    kept = tuple(then if then is not None else at for then, at in zip(kept, proven, strict=True))
    ask, settled, due = _by_policy(rule, since, now)
    because = f"{signal_of(rule)} is unknown for {say_seconds(now - since)}: {silence.why}"
    if level is Level.PAUSE:
        ask, because = Ask.PAUSE, f"{because}; at least {say(silence.at_least or 0.0, rule.dimension)} is certain"
    after = Streak(kept, since, tripped=streak.tripped or ask is Ask.PAUSE)
    verdict = Verdict(
        rule=rule.name,
        level=Level.UNKNOWN,
        ask=ask,
        because=because,
        well=ask is Ask.PROCEED,
        settled=settled,
        since=breach_since if level is Level.PAUSE else since,
        due=earliest(due, breach_due),
        harms=False if rule.rollback is None else None,
        resume=f"{signal_of(rule)} must be known again and {_resume_words(rule, known)}",
        baseline=_baseline(rule, known),
        well_at=_well_at(rule, now, None, well=ask is Ask.PROCEED),
    )
    return verdict, after


def _by_policy(rule: Rule, since: float, now: float) -> tuple[Ask, bool, float | None]:
    """What `no_data` asks for, whether that is its last word, and when it may be another."""
    served = now >= since + rule.no_data_for
    due = None if served else since + rule.no_data_for
    if rule.no_data is NoData.IGNORE or not rule.stops:
        return Ask.PROCEED, True, due
    if rule.no_data is NoData.PAUSE and served:
        return Ask.PAUSE, True, due
    return Ask.HOLD, served or rule.no_data is NoData.HOLD, due


def _judge_abstention(
    rule: Rule, streak: Streak, silence: Silence, now: float, *, known: Known
) -> tuple[Verdict, Streak]:
    """Too little to go by: no breach goes on, none begins, and a migration that was paused is not let go at once.

    A breach has to be seen in readings without a gap, or an hour of nothing would count as an hour of errors.
    """
    streak = across_gap(rule, streak, silence.taken_at)
    quiet_since = streak.quiet_since if streak.quiet_since is not None else silence.taken_at
    well, well_due = is_well(rule, None, quiet_since, now)
    tripped = streak.tripped and not well
    lasting = say_seconds(max(rule.resume.duration, QUIET))
    verdict = Verdict(
        rule=rule.name,
        level=Level.FINE,
        ask=Ask.HOLD if tripped else Ask.PROCEED,
        because=f"{signal_of(rule)} abstains: {silence.why}",
        well=well,
        settled=True,
        due=earliest(well_due, silence.taken_at + rule.stale_after),
        harms=False if rule.rollback is None else None,
        taken_at=silence.taken_at,
        resume=f"{_resume_words(rule, known)}, or {lasting} without a bad value",
        baseline=_baseline(rule, known),
        well_at=_well_at(rule, now, well_due, well=well),
    )
    return verdict, Streak(heard_at=silence.taken_at, quiet_since=quiet_since, tripped=tripped)


def _proven_part(
    rule: Rule, kept: tuple[float | None, ...], silence: Silence, known: Known
) -> tuple[float | None, ...]:
    """Breaches that the measured part of an otherwise unknown value proves by itself, each with its beginning.

    One that was seen before and is not proven now is not among them: it has not ended, but nobody knows that it lasts.
    """
    return tuple(
        (silence.taken_at if since is None else since)
        if level not in MEASURED_ONLY and condition is not None and _proves(condition, silence.at_least, known)
        else None
        for level, since, condition in zip(LADDER, kept, conditions(rule), strict=True)
    )


def _proves(condition: Condition, at_least: float | None, known: Known) -> bool:
    return truth(condition, None, at_least=at_least, baseline=value_of(known)).answer is Answer.YES


def _answer(condition: Condition | None, value: float, known: Known) -> Answer:
    return Answer.NO if condition is None else truth(condition, value, baseline=value_of(known)).answer


def signal_of(rule: Rule) -> str:
    """What is measured, for people: that a number came by HTTP or a query does not tell which one it is."""
    if rule.metric not in {"http", "prometheus", "sql"}:
        return rule.series
    return f"{rule.name} ({rule.metric}, per second)" if rule.rate else f"{rule.name} ({rule.metric})"


def _because(rule: Rule, reading: Reading, level: Level, *, since: float | None, now: float) -> str:
    about = [part for part in (reading.detail, f"{say_seconds(round(now - reading.taken_at, 3))} old") if part]
    tail = f" ({', '.join(about)})"
    condition = None if level is Level.FINE else conditions(rule)[LADDER.index(level)]
    if condition is None or since is None:
        return f"{signal_of(rule)} {say(reading.value, rule.dimension)}{tail}"
    value = say_beside(reading.value, condition, rule.dimension)
    # Where no time is asked for, the first second of a breach is no news of its own.
    lasting = now - since >= 1 or condition.duration > 0
    lasts = f", now for {say_seconds(round(now - since, 2))}" if lasting else ""
    return f"{signal_of(rule)} {value} {condition.text}{lasts}{tail}"


def _baseline(rule: Rule, known: Known) -> str:
    """What its limits are measured against; empty where they ask for no baseline."""
    return words(known, rule.dimension) if goes_by_baseline(rule) else ""


def _beside(rule: Rule, known: Known) -> str:
    return f", {_baseline(rule, known)}" if goes_by_baseline(rule) else ""


def _resume_words(rule: Rule, known: Known, *, well_for: float | None = None) -> str:
    limit = f"{signal_of(rule)} {rule.resume.text}"
    if is_relative(rule.resume):
        limit += _against(known, rule)
    return limit if well_for is None else f"{limit}: well for {say_seconds(well_for)}"


def _against(known: Known, rule: Rule) -> str:
    if isinstance(known, str):
        return " (without a baseline: within each limit)"
    alike = ", of which a multiple says nothing: within each limit" if _of_nothing(rule, known) else ""
    return f" (baseline {say(known.value, rule.dimension)}{alike})"
