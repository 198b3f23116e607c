"""Limits that speak of a baseline: with one, without one, and beside limits that need none."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.judge.baselines import Known
from guard.judge.verdicts import Streak, judge
from guard.model import Ask, Baseline, Level, Reading, Rule, Silence, Verdict
from tests.fakes import WALL, make_rule

USUAL = Baseline("q", 0.2, 0.01, 118, WALL - 1200, WALL)
WORDS = "baseline 200 ms (median of 118 over 20 min, spread 10 ms)"
FEW = "6 of 30 readings"


@dataclass
class Judged:
    rule: Rule
    known: Known = FEW
    streak: Streak = field(default_factory=Streak)

    def read(self, value: float, at: float, now: float | None = None) -> Verdict:
        return self._judge(Reading("s", value, at), at if now is None else now)

    def silent(self, at: float, at_least: float) -> Verdict:
        return self._judge(Silence("s", "refused", at, at_least), at)

    def _judge(self, sample: Reading | Silence, now: float) -> Verdict:
        verdict, self.streak = judge(self.rule, self.streak, sample, now, known=self.known)
        return verdict


def test_drift_pauses_past_factor_and_floor_and_says_what_it_is_measured_against() -> None:
    rule = make_rule(pause="> 1.5x baseline and > 250ms for 3s", resume="< 1.2x baseline for 2s")
    slow = Judged(rule, USUAL)
    fine = slow.read(0.21, 0)
    assert (fine.ask, fine.because) == (Ask.PROCEED, f"lag 210 ms (0 s old), {WORDS}")
    slow.read(0.4, 1)
    late = slow.read(0.4, 4)
    assert (late.ask, late.level) == (Ask.PAUSE, Level.PAUSE)
    assert late.because == f"lag 400 ms > 1.5x baseline and > 250ms for 3s, now for 3 s (0 s old), {WORDS}"
    assert late.resume == "lag < 1.2x baseline for 2s (baseline 200 ms)"
    assert slow.read(0.25, 5).ask is Ask.HOLD  # within its limit, and not yet well
    slow.read(0.23, 6)
    back = slow.read(0.23, 8)
    assert (back.ask, back.well) == (Ask.PROCEED, True)


def test_a_drift_below_the_floor_is_none() -> None:
    assert Judged(make_rule(pause="> 1.5x baseline and > 500ms"), USUAL).read(0.45, 0).ask is Ask.PROCEED


@pytest.mark.parametrize(("policy", "asks"), [("pause", Ask.PAUSE), ("hold", Ask.HOLD), ("ignore", Ask.PROCEED)])
def test_without_a_baseline_the_floor_holds_and_what_is_past_it_is_unknown(policy: str, asks: Ask) -> None:
    slow = Judged(make_rule(pause="> 1.5x baseline and > 250ms", resume="< 1.2x baseline", no_data=policy))
    below = slow.read(0.2, 0)
    assert (below.ask, below.level, below.settled) == (Ask.PROCEED, Level.FINE, True)
    assert below.because.endswith(f"no baseline is taken yet ({FEW})")
    slow.read(0.4, 1)
    above = slow.read(0.4, 4)
    assert (above.ask, above.level, above.settled, above.measured) == (asks, Level.UNKNOWN, True, False)
    assert above.because == f"lag is unknown for 3 s: it is 400 ms, no baseline is taken yet ({FEW})"


def test_who_was_paused_without_a_baseline_goes_on_within_each_limit_that_can_be_judged() -> None:
    slow = Judged(make_rule(pause="> 1.5x baseline and > 250ms", resume="< 1.2x baseline for 2s"))
    slow.read(0.4, 0)
    paused = slow.read(0.4, 3)
    assert (paused.ask, paused.resume) == (
        Ask.PAUSE,
        "lag < 1.2x baseline for 2s (without a baseline: within each limit)",
    )
    assert slow.read(0.2, 4).ask is Ask.HOLD
    assert slow.read(0.2, 6).ask is Ask.PROCEED


def test_with_a_baseline_the_resume_limit_is_not_eased() -> None:
    slow = Judged(make_rule(pause="> 1.5x baseline and > 250ms", resume="< 1.2x baseline for 2s"), USUAL)
    slow.read(0.4, 0)
    slow.read(0.245, 1)
    assert slow.read(0.245, 9).ask is Ask.HOLD


@pytest.mark.parametrize(
    ("baseline", "pause", "resume", "bad", "good"),
    [
        (0.0, "> 3x baseline and > 10ms", "< 2x baseline for 2s", 0.02, 0.0),
        (0.0, "> 3x baseline and > 10ms", "< 2x baseline for 2s", 0.02, 0.001),
        (0.0, "< 0.5x baseline", "> 0.8x baseline for 2s", -1.0, 0.0),
        (-0.1, "> 3x baseline and > 10ms", "< 2x baseline for 2s", 0.02, -0.1),
    ],
)
def test_what_is_usually_nothing_is_well_again_within_each_limit(
    baseline: float, pause: str, resume: str, bad: float, good: float
) -> None:
    errors = Judged(make_rule(pause=pause, resume=resume), dataclasses.replace(USUAL, value=baseline))
    paused = errors.read(bad, 0)
    assert paused.ask is Ask.PAUSE
    assert paused.resume.endswith(", of which a multiple says nothing: within each limit)")
    assert errors.read(good, 1).ask is Ask.HOLD
    back = errors.read(good, 3)
    assert (back.ask, back.well) == (Ask.PROCEED, True)


@pytest.mark.parametrize("resume", ["< 2x baseline and < 5ms", "< 5ms", "< baseline + 5ms"])
def test_beside_a_baseline_of_nothing_other_limits_of_the_way_back_hold(resume: str) -> None:
    errors = Judged(make_rule(pause="> 3x baseline and > 10ms", resume=resume), dataclasses.replace(USUAL, value=0.0))
    errors.read(0.02, 0)
    assert errors.read(0.007, 1).ask is Ask.HOLD
    assert errors.read(0.004, 2).ask is Ask.PROCEED


def test_the_usual_way_back_to_nothing_is_not_eased() -> None:
    errors = Judged(make_rule(pause="> 3x baseline and > 10ms"), dataclasses.replace(USUAL, value=0.0))
    errors.read(0.02, 0)
    assert [errors.read(0.008, at).ask for at in (4, 8, 12)][-1] is Ask.HOLD
    assert [errors.read(0.006, at).ask for at in (14, 18, 22, 24)][-1] is Ask.PROCEED


def test_a_warning_that_cannot_be_judged_silences_no_other_limit() -> None:
    lag = Judged(make_rule(pause="> 5s", warn="> 1.5x baseline", resume="< 2s for 1s"))
    calm = lag.read(1.0, 0)
    assert (calm.ask, calm.level, calm.settled, calm.since) == (Ask.PROCEED, Level.UNKNOWN, True, None)
    assert lag.read(7.0, 1).ask is Ask.PAUSE
    assert lag.read(1.0, 2).ask is Ask.HOLD
    back = lag.read(1.0, 3)
    assert (back.ask, back.well) == (Ask.PROCEED, True)


def test_a_pause_that_cannot_be_judged_silences_no_warning() -> None:
    lag = Judged(make_rule(warn="> 1s", pause="> 1.5x baseline", no_data="ignore"))
    verdict = lag.read(2.0, 0)
    assert (verdict.ask, verdict.level, verdict.well) == (Ask.WARN, Level.UNKNOWN, True)


@pytest.mark.parametrize("limit", ["> 1s", "< 9s"])
def test_a_breach_that_is_proven_wins_over_a_graver_limit_that_cannot_be_judged(limit: str) -> None:
    lag = Judged(make_rule(pause=limit, rollback="> 3x baseline", resume="> 99s", no_data="ignore"))
    verdict = lag.read(2.0, 0)
    assert (verdict.ask, verdict.level, verdict.measured, verdict.well) == (Ask.PAUSE, Level.PAUSE, True, False)
    assert verdict.harms is None
    assert verdict.because == f"lag 2 s {limit} (0 s old), no baseline is taken yet ({FEW})"


def test_a_lesser_breach_loses_to_what_a_silence_asks_for() -> None:
    lag = Judged(make_rule(warn="> 1s", pause="> 1.5x baseline"))
    assert lag.read(2.0, 0).ask is Ask.HOLD
    assert lag.read(2.0, 3).ask is Ask.PAUSE


def test_what_is_destructive_begins_anew_where_it_could_not_be_judged() -> None:
    rule = make_rule(pause="> 1s for 9s", rollback="> 2x baseline and > 3s for 2s", resume="< 1s")
    lag = Judged(rule, USUAL)
    lag.read(4.0, 0)
    lag.known = FEW
    assert lag.read(4.0, 1).harms is None
    lag.known = USUAL
    assert lag.read(4.0, 2).ask is Ask.PROCEED
    assert lag.read(4.0, 3).ask is Ask.PROCEED
    assert lag.read(4.0, 4).ask is Ask.ROLLBACK


def test_the_time_of_a_pause_goes_on_while_it_could_not_be_judged() -> None:
    lag = Judged(make_rule(pause="> 2x baseline for 3s", no_data="ignore"), USUAL)
    lag.read(4.0, 0)
    lag.known = FEW
    assert lag.read(4.0, 2).ask is Ask.PROCEED
    lag.known = USUAL
    assert lag.read(4.0, 3).ask is Ask.PAUSE


def test_what_is_certain_of_a_silence_is_measured_against_the_baseline_too() -> None:
    lag = Judged(make_rule(pause="> 1.5x baseline and > 250ms", no_data="ignore"), USUAL)
    assert lag.silent(0, 0.31).ask is Ask.PAUSE
    lag = Judged(make_rule(pause="> 1.5x baseline and > 250ms", no_data="ignore"))
    assert lag.silent(0, 0.31).ask is Ask.PROCEED


def test_the_usual_way_back_closes_most_of_the_excess_over_the_baseline() -> None:
    slow = Judged(make_rule(pause="> 1.5x baseline and > 250ms"), USUAL)
    assert slow.rule.resume.text == "<= 1.35x baseline or <= 175ms for 10s"
    slow.read(0.4, 0)
    slow.read(0.28, 1)
    assert [slow.read(0.28, at).ask for at in (5, 9, 13)][-1] is Ask.HOLD
    assert [slow.read(0.27, at).ask for at in (14, 18, 22)][-1] is Ask.HOLD
    assert slow.read(0.27, 24).ask is Ask.PROCEED


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([1.0, 2.0]), st.sampled_from([0.2, 4.0, None]), st.booleans()), max_size=20))
def test_nothing_destructive_rests_on_a_time_in_which_there_was_no_baseline(
    steps: list[tuple[float, float | None, bool]],
) -> None:
    lag = Judged(make_rule(pause="> 9s", rollback="> 2x baseline and > 3s for 2s", resume="< 1s", no_data="ignore"))
    now, breached_since = 0.0, None
    for seconds, value, known in steps:
        now += seconds
        lag.known = USUAL if known else FEW
        verdict = lag.silent(now, 4.0) if value is None else lag.read(value, now)
        breached = known and value == 4.0
        breached_since = (now if breached_since is None else breached_since) if breached else None
        due = breached_since is not None and now - breached_since >= 2
        assert (verdict.ask is Ask.ROLLBACK) == due
