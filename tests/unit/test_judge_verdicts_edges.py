"""Verdicts word for word and field for field: whoever reads one finds all that it rests on, and nothing of before."""

from __future__ import annotations

import dataclasses
import math

import pytest

from guard.judge.baselines import NONE_YET, Known
from guard.judge.streaks import LADDER, reached, without_destructive
from guard.judge.verdicts import Streak, judge
from guard.model import Ask, Baseline, Level, Reading, Rule, Sample, Silence, Verdict
from tests.fakes import WALL, make_rule

USUAL = Baseline("q", 0.2, 0.01, 118, WALL - 1200, WALL)
WORDS = "baseline 200 ms (median of 118 over 20 min, spread 10 ms)"
FEW = "6 of 30 readings"
NO_WORDS = f"no baseline is taken yet ({FEW})"
BLAMED = frozenset({7})


def read(value: float, at: float) -> Reading:
    return Reading("lag sensor", value, at, "replica1", BLAMED)


def silent(at: float, at_least: float | None = None) -> Silence:
    return Silence("lag sensor", "refused", at, at_least)


def little(at: float) -> Silence:
    return Silence("lag sensor", "traffic 0.2 < 1", at, abstains=True)


def judged(rule: Rule, *samples: Sample, now: float | None = None, known: Known = NONE_YET) -> Verdict:
    """The verdict on the last sample, each judged as it came; *now*: and the last once more."""
    *before, last = samples
    streak = Streak()
    for sample in before:
        _, streak = judge(rule, streak, sample, sample.taken_at, known=known)
    verdict, streak = judge(rule, streak, last, last.taken_at, known=known)
    return verdict if now is None else judge(rule, streak, last, now, known=known)[0]


# -- a reading that can be judged --------------------------------------------------------------------------------------


def test_a_breach_tells_since_when_it_lasts_who_it_is_and_what_would_let_go() -> None:
    assert judged(make_rule(resume="< 2s for 10s", rollback="> 20s"), read(7.0, 1), now=4.0) == Verdict(
        rule="lag",
        level=Level.PAUSE,
        ask=Ask.PAUSE,
        because="lag 7 s > 5s for 3s, now for 3 s (replica1, 3 s old)",
        well=False,
        settled=True,
        since=1.0,
        due=6.0,
        measured=True,
        harms=False,
        taken_at=1.0,
        resume="lag < 2s for 10s",
        caused_by=BLAMED,
        baseline="",
        well_at=14.0,
    )


def test_what_is_not_yet_a_breach_tells_against_what_it_is_measured_and_when_it_will_be_one() -> None:
    rule = make_rule(pause="> 1.5x baseline for 3s", resume="< 1.2x baseline for 2s")
    assert judged(rule, read(0.4, 1), now=2.0, known=USUAL) == Verdict(
        rule="lag",
        level=Level.FINE,
        ask=Ask.PROCEED,
        because=f"lag 400 ms (replica1, 1 s old), {WORDS}",
        well=False,
        settled=True,
        due=4.0,
        taken_at=1.0,
        resume="lag < 1.2x baseline for 2s (baseline 200 ms)",
        caused_by=BLAMED,
        baseline=WORDS,
        well_at=4.0,
    )


def test_of_a_rule_that_is_well_only_the_age_of_its_reading_can_change_the_verdict() -> None:
    verdict = judged(make_rule(resume="< 2s for 10s"), *(read(1.0, at) for at in (0, 4, 8, 12)))
    assert (verdict.well, verdict.due, verdict.resume) == (True, 17.0, "lag < 2s for 10s: well for 12 s")


def test_of_two_limits_whose_time_runs_the_first_to_be_served_is_due() -> None:
    assert judged(make_rule(warn="> 1s for 2s", pause="> 5s for 4s"), read(7.0, 0)).due == 2.0
    assert judged(make_rule(warn="> 1s for 4s", pause="> 5s for 2s"), read(7.0, 0)).due == 2.0


def test_without_a_baseline_a_value_past_its_limit_is_not_on_its_way_back() -> None:
    rule = make_rule(pause="> 5s for 9s", resume="< 1.2x baseline for 1s")
    assert not judged(rule, read(7.0, 0), read(7.0, 2)).well
    assert judged(rule, read(4.0, 0), read(4.0, 2)).well


def test_the_quiet_minute_counts_from_the_first_good_reading() -> None:
    rule = make_rule(pause="> 5s", resume="< 2s for 10s")
    quiet: list[Sample] = [read(9.0, 0), read(1.0, 1), *(little(at) for at in range(2, 61))]
    assert judged(rule, *quiet).ask is Ask.HOLD
    assert judged(rule, *quiet, little(61)).well


@pytest.mark.parametrize(
    ("pause", "at", "now", "told"),
    [
        ("> 5s", 0.75, 1.0, " (replica1, 250 ms old)"),
        ("> 5s", 0.75, 1.75, ", now for 1 s (replica1, 1 s old)"),
        ("> 5s", 0.75, 2.25, ", now for 1.5 s (replica1, 1.5 s old)"),
        ("> 5s for 500ms", 0.0, 0.5, ", now for 500 ms (replica1, 500 ms old)"),
        ("> 5s for 400ms", 0.0, 0.45678, ", now for 460 ms (replica1, 457 ms old)"),
        ("> 5s for 1s", 0.0, 1.23456, ", now for 1.23 s (replica1, 1.24 s old)"),
        ("> 5s for 10ms", 0.0, 0.01234, ", now for 10 ms (replica1, 12 ms old)"),
    ],
)
def test_how_long_and_how_old_is_told_as_exactly_as_it_helps(pause: str, at: float, now: float, told: str) -> None:
    verdict = judged(make_rule(pause=pause), read(7.0, at), now=now)
    assert verdict.because == f"lag 7 s {pause}{told}"


def test_a_value_just_past_its_limit_is_not_told_as_the_limit_itself() -> None:
    rule = make_rule(pause="> 1s", resume="< 500ms")
    assert " 1.003 s > 1s (" in judged(rule, read(1.003, 1.0)).because
    assert " 1.01 s > 1s (" in judged(rule, read(1.0123, 1.0)).because


@pytest.mark.parametrize("metric", ["http", "prometheus", "sql"])
def test_a_number_that_somebody_configured_bears_the_name_of_its_rule(metric: str) -> None:
    rule = dataclasses.replace(make_rule("checkout"), metric=metric)
    assert judged(rule, read(1.0, 0)).because == f"checkout ({metric}) 1 s (replica1, 0 s old)"


@pytest.mark.parametrize("which", ["warn", "pause", "cancel", "rollback", "resume"])
def test_a_baseline_is_told_where_any_limit_of_the_rule_asks_for_one_and_nowhere_else(which: str) -> None:
    limits = {"warn": "> 5s", "pause": "> 6s", "cancel": "> 7s", "rollback": "> 8s", "resume": "< 2s"}
    assert judged(make_rule(**limits), read(0.1, 0), known=USUAL).baseline == ""
    limits[which] = "< 3x baseline" if which == "resume" else "> 9x baseline"
    assert judged(make_rule(**limits), read(0.1, 0), known=USUAL).baseline == WORDS


# -- one of which a limit cannot be judged -----------------------------------------------------------------------------

PART = make_rule(
    warn="> 300ms for 1s", pause="> 1.5x baseline and > 250ms", rollback="> 20s", resume="< 1.2x baseline for 2s"
)
"""Without a baseline nobody knows of 400 ms whether it pauses; that it does not roll back is certain."""
OPEN = Verdict(
    rule="lag",
    level=Level.UNKNOWN,
    ask=Ask.HOLD,
    because=f"lag is unknown for 0 s: it is 400 ms, {NO_WORDS}",
    well=False,
    settled=False,
    since=1.0,
    due=2.0,
    measured=False,
    harms=False,
    taken_at=1.0,
    resume="lag < 1.2x baseline for 2s (without a baseline: within each limit)",
    caused_by=BLAMED,
    baseline=NO_WORDS,
    well_at=3.0,
)


def test_a_limit_that_cannot_be_judged_is_a_silence_with_a_fresh_reading() -> None:
    assert judged(PART, read(0.4, 1), known=FEW) == OPEN


@pytest.mark.parametrize(("now", "due"), [(2.0, 4.0), (4.0, 7.5)])
def test_it_lasts_from_the_first_such_reading_and_is_due_when_its_policy_or_its_age_is(now: float, due: float) -> None:
    served = now >= 4.0
    assert judged(PART, read(0.4, 1), read(0.4, 2), read(0.4, 2.5), now=max(now, 2.5), known=FEW) == (
        dataclasses.replace(
            OPEN,
            # The warning's second is served by now, and a warning asks for less than a silence.
            ask=Ask.PAUSE if served else Ask.HOLD,
            because=f"lag is unknown for {'3 s' if served else '1.5 s'}: it is 400 ms, {NO_WORDS}",
            settled=served,
            due=due,
            taken_at=2.5,
            well_at=max(now, 2.5) + 2.0,
        )
    )


def test_a_breach_beside_it_is_told_with_its_own_beginning_and_its_own_words() -> None:
    rule = make_rule(pause="> 5s for 3s", rollback="> 3x baseline and > 6s", resume="< 2s for 10s")
    assert judged(rule, read(5.5, 0), read(7.0, 2), now=3.0, known=FEW) == Verdict(
        rule="lag",
        level=Level.PAUSE,
        ask=Ask.PAUSE,
        because=f"lag 7 s > 5s for 3s, now for 3 s (replica1, 1 s old), {NO_WORDS}",
        well=False,
        settled=False,
        since=0.0,
        due=5.0,
        measured=True,
        harms=None,
        taken_at=2.0,
        resume="lag < 2s for 10s",
        caused_by=BLAMED,
        baseline=NO_WORDS,
        well_at=13.0,
    )


def test_the_time_of_a_pause_runs_while_a_graver_limit_cannot_be_judged() -> None:
    rule = make_rule(pause="> 5s for 3s", rollback="> 3x baseline", no_data="ignore")
    assert judged(rule, read(7.0, 0), now=2.9, known=FEW).ask is Ask.PROCEED
    paused = judged(rule, read(7.0, 0), read(7.0, 2), now=3.0, known=FEW)
    assert (paused.ask, paused.since) == (Ask.PAUSE, 0.0)


def test_a_destructive_limit_that_can_be_judged_keeps_its_time_and_its_demand_for_readings_without_a_gap() -> None:
    rule = make_rule(pause="> 2x baseline", rollback="> 20s for 3s", resume="< 2s for 10s")
    series = [read(30.0, at) for at in (0, 1, 2)]
    early, due = judged(rule, *series, known=FEW), judged(rule, *series, read(30.0, 3), known=FEW)
    assert (early.ask, early.harms) == (Ask.HOLD, True)
    assert (due.ask, due.since, due.harms, due.measured) == (Ask.ROLLBACK, 0.0, True, True)
    assert judged(rule, *series, read(30.0, 7), known=FEW).ask is Ask.PAUSE


def test_what_is_infinitely_much_is_past_a_rollback_limit_also_where_another_cannot_be_judged() -> None:
    rule = make_rule(pause="> 2x baseline", rollback="> 20s", resume="< 2s for 10s")
    verdict = judged(rule, read(math.inf, 0), read(math.inf, 3), known=FEW)
    assert (verdict.ask, verdict.harms) == (Ask.PAUSE, True)


@pytest.mark.parametrize(
    ("pause", "known"), [("> 5s", NONE_YET), ("> 5s", USUAL), ("> 2x baseline", USUAL), ("> 2x baseline", FEW)]
)
def test_no_number_is_unknown_whatever_is_known_of_before(pause: str, known: Known) -> None:
    verdict = judged(make_rule(pause=pause, resume="< 2s"), read(math.nan, 0), known=known)
    why = NO_WORDS if known == FEW else "no value"
    assert (verdict.level, verdict.because) == (Level.UNKNOWN, f"lag is unknown for 0 s: it is {why}")


# -- silences ----------------------------------------------------------------------------------------------------------

UNHEARD = Verdict(
    rule="lag",
    level=Level.UNKNOWN,
    ask=Ask.HOLD,
    because="lag is unknown for 1 s: refused",
    well=False,
    settled=False,
    since=1.0,
    due=4.0,
    harms=None,
    resume="lag must be known again and lag < 2s for 10s",
    well_at=12.0,
)


def test_a_silence_tells_how_long_it_lasts_and_what_comes_of_it_when() -> None:
    rule = make_rule(rollback="> 20s", resume="< 2s for 10s")
    assert judged(rule, silent(1), now=2.0) == UNHEARD
    assert judged(rule, silent(1), silent(3), now=4.0) == dataclasses.replace(
        UNHEARD, ask=Ask.PAUSE, because="lag is unknown for 3 s: refused", settled=True, due=None, well_at=14.0
    )


def test_a_reading_that_went_stale_is_told_with_its_value_and_its_age() -> None:
    rule = make_rule(rollback="> 20s", resume="< 2s for 10s")
    assert judged(rule, read(1.0, 1), now=7.0) == dataclasses.replace(
        UNHEARD, since=6.0, due=9.0, because="lag is unknown for 1 s: the last value, 1 s, is 6 s old", well_at=17.0
    )


def test_a_rule_without_a_rollback_knows_also_in_silence_that_it_proves_no_harm() -> None:
    rule = make_rule(pause="> 1.5x baseline", resume="< 1.2x baseline for 2s")
    assert judged(rule, silent(1), now=2.0, known=USUAL) == dataclasses.replace(
        UNHEARD,
        harms=False,
        resume="lag must be known again and lag < 1.2x baseline for 2s (baseline 200 ms)",
        baseline=WORDS,
        well_at=4.0,
    )


@pytest.mark.parametrize("policy", ["pause", "hold", "ignore"])
def test_a_part_that_is_certain_pauses_from_when_it_was_seen_and_is_not_well_whatever_the_policy(policy: str) -> None:
    rule = make_rule(pause="> 5s for 2s", rollback="> 20s", resume="< 2s for 10s", no_data=policy)
    early, late = (judged(rule, silent(1), silent(1.5, 9.0), now=now) for now in (2.0, 3.5))
    assert early.due == 3.5
    assert (early.well, early.ask) == ((True, Ask.PROCEED) if policy == "ignore" else (False, Ask.HOLD))
    assert late == dataclasses.replace(
        UNHEARD,
        ask=Ask.PAUSE,
        because="lag is unknown for 2.5 s: refused; at least 9 s is certain",
        settled=policy != "pause",
        since=1.5,
        due=4.0,
        well_at=13.5,
    )


def test_a_certain_part_of_nothing_is_told_as_nothing() -> None:
    below = dataclasses.replace(USUAL, value=-1.0)
    verdict = judged(make_rule(pause="> 0.5x baseline"), silent(0, 0.0), known=below)
    assert verdict.because == "lag is unknown for 0 s: refused; at least 0 s is certain"


@pytest.mark.parametrize("policy", ["hold", "pause"])
def test_a_rule_that_paused_still_holds_after_a_silence(policy: str) -> None:
    rule = make_rule(pause="> 5s", resume="< 2s for 10s", no_data=policy)
    between = read(3.0, 2)
    assert judged(rule, read(7.0, 0), silent(1), between).ask is Ask.HOLD
    assert judged(rule, silent(1), between).ask is Ask.PROCEED


def test_a_silence_that_paused_holds_until_all_is_well() -> None:
    rule = make_rule(pause="> 5s", resume="< 2s for 10s")
    assert judged(rule, silent(0), silent(3), read(3.0, 4)).ask is Ask.HOLD


@pytest.mark.parametrize(
    ("known", "beside", "words"),
    [
        (USUAL, " (baseline 200 ms)", WORDS),
        (FEW, " (without a baseline: within each limit)", NO_WORDS),
    ],
)
def test_a_rule_that_abstains_says_what_it_waits_for_and_against_what_it_measures(
    known: Known, beside: str, words: str
) -> None:
    rule = make_rule(pause="> 1.5x baseline", resume="< 1.2x baseline for 2s")
    assert judged(rule, little(1), now=2.0, known=known) == Verdict(
        rule="lag",
        level=Level.FINE,
        ask=Ask.PROCEED,
        because="lag abstains: traffic 0.2 < 1",
        well=False,
        settled=True,
        due=6.0,
        taken_at=1.0,
        resume=f"lag < 1.2x baseline for 2s{beside}, or 60 s without a bad value",
        baseline=words,
        well_at=61.0,
    )


# -- the memory --------------------------------------------------------------------------------------------------------


def test_a_memory_that_does_not_fit_the_ladder_is_refused_and_never_cut() -> None:
    rule, more = make_rule(), (None,) * (len(LADDER) + 1)
    with pytest.raises(ValueError, match="zip"):
        judge(rule, Streak(more), read(7.0, 0), 0.0)
    with pytest.raises(ValueError, match="zip"):
        reached(rule, more, 0.0, 0.0)
    with pytest.raises(ValueError, match="zip"):
        without_destructive(more)
