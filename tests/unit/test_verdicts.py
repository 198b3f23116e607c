"""One rule against its samples: how long, how fresh, and what silence may do."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.judge.verdicts import Streak, judge
from guard.model import Ask, Level, Reading, Rule, Sample, Silence, Verdict
from tests.fakes import make_rule

DESTRUCTIVE = (Ask.CANCEL, Ask.ROLLBACK)
FULL = {"warn": "> 1s", "cancel": "> 10s for 2s", "rollback": "> 20s for 4s", "resume": "< 2s for 10s"}


@dataclass
class Judged:
    """A rule with its memory, fed one sample after another."""

    rule: Rule
    streak: Streak = field(default_factory=Streak)
    sample: Sample | None = None

    def read(self, value: float, at: float, now: float | None = None) -> Verdict:
        self.sample = Reading(self.rule.sensor, value, at, "replica1")
        return self.again(at if now is None else now)

    def silent(self, at: float, now: float | None = None, *, at_least: float | None = None) -> Verdict:
        self.sample = Silence(self.rule.sensor, "refused", at, at_least)
        return self.again(at if now is None else now)

    def again(self, now: float) -> Verdict:
        verdict, self.streak = judge(self.rule, self.streak, self.sample, now)
        return verdict


def test_a_breach_pauses_only_after_its_time_and_says_when_that_is() -> None:
    lag = Judged(make_rule(resume="< 2s for 10s"))
    first = lag.read(7.0, 0)
    assert (first.ask, first.level, first.due) == (Ask.PROCEED, Level.FINE, 3.0)
    assert lag.again(2.99).ask is Ask.PROCEED
    third = lag.again(3.0)
    assert (third.ask, third.level, third.since, third.measured) == (Ask.PAUSE, Level.PAUSE, 0.0, True)
    assert third.because == "lag 7 s > 5s for 3s, now for 3 s (replica1, 3 s old)"


def test_a_number_of_the_users_says_from_where_it_came_and_a_growth_that_it_is_one() -> None:
    for rate, told in ((False, "errors (http) 7 s > 5s"), (True, "errors (http, per second) 7 s > 5s")):
        rule = dataclasses.replace(make_rule("errors", pause="> 5s"), metric="http", rate=rate)
        assert Judged(rule).read(7.0, 0).because.startswith(told + " (")


def test_a_value_below_the_limit_ends_the_breach() -> None:
    lag = Judged(make_rule())
    lag.read(7.0, 0)
    lag.read(4.0, 1)
    assert lag.read(7.0, 2).ask is Ask.PROCEED
    assert lag.again(4.9).ask is Ask.PROCEED
    assert lag.again(5.0).ask is Ask.PAUSE


def test_infinity_pauses_and_proves_nothing_that_cannot_be_taken_back() -> None:
    errors = Judged(make_rule(**FULL))
    verdicts = [errors.read(math.inf, at) for at in range(7)]
    assert verdicts[-1].ask is Ask.PAUSE
    assert verdicts[-1].harms  # a breach all the same: what comes later did not begin with it
    assert not any(errors.read(30.0, at).ask is Ask.ROLLBACK for at in range(7, 11))
    assert errors.read(30.0, 11).ask is Ask.ROLLBACK  # four seconds of measured values


def test_after_a_pause_the_rule_holds_until_it_was_well_for_its_time() -> None:
    lag = Judged(make_rule(pause="> 5s", resume="< 2s for 10s"))
    assert lag.read(7.0, 0).ask is Ask.PAUSE
    between = lag.read(3.0, 1)
    assert (between.ask, between.well, between.resume) == (Ask.HOLD, False, "lag < 2s for 10s")
    waiting = between
    for second in range(2, 12):
        waiting = lag.read(1.0, second)
        assert (waiting.ask, waiting.well) == (Ask.HOLD, False)
    assert waiting.due == 12.0
    assert waiting.resume == "lag < 2s for 10s: well for 9 s"
    through = lag.read(1.0, 12)
    assert (through.ask, through.well) == (Ask.PROCEED, True)


def test_the_gravest_limit_that_has_served_its_time_speaks() -> None:
    lag = Judged(make_rule(pause="> 5s", **FULL))
    assert lag.read(3.0, 0).ask is Ask.WARN
    assert lag.read(30.0, 1).ask is Ask.PAUSE
    assert lag.read(30.0, 2).ask is Ask.PAUSE
    assert lag.read(30.0, 3).ask is Ask.CANCEL
    assert lag.read(30.0, 4).ask is Ask.CANCEL
    assert lag.read(30.0, 5).ask is Ask.ROLLBACK


def test_a_destructive_limit_wants_a_new_reading_at_the_end_of_its_time() -> None:
    lag = Judged(make_rule(pause="> 5s", **FULL))
    lag.read(30.0, 0)
    assert lag.again(4.9).ask is Ask.PAUSE
    assert lag.read(30.0, 4.95).ask is Ask.ROLLBACK


def test_a_silence_in_between_starts_a_destructive_breach_anew_but_not_a_pause() -> None:
    lag = Judged(make_rule(pause="> 5s for 5s", **FULL))
    lag.read(30.0, 0)
    lag.silent(1)
    assert lag.read(30.0, 4).ask is Ask.WARN
    assert lag.read(30.0, 5).ask is Ask.PAUSE
    assert lag.read(30.0, 6).ask is Ask.CANCEL
    assert lag.read(30.0, 7.9).ask is Ask.CANCEL
    assert lag.read(30.0, 8).ask is Ask.ROLLBACK


def test_a_process_that_was_stopped_takes_the_gap_for_neither_a_long_breach_nor_a_long_calm() -> None:
    lag = Judged(make_rule(pause="> 5s", **FULL))
    lag.read(30.0, 0)
    assert lag.read(30.0, 60).ask is Ask.PAUSE
    calm = Judged(make_rule(pause="> 5s", **FULL))
    calm.read(30.0, 0)
    calm.read(0.0, 1)
    assert not calm.read(0.0, 60).well
    assert calm.again(64).due == 65.0


def test_a_stale_reading_is_a_silence_since_it_went_stale() -> None:
    lag = Judged(make_rule())
    fresh = lag.read(1.0, 0, now=4.99)
    assert (fresh.level, fresh.due) == (Level.FINE, 5.0)
    stale = lag.again(5.0)
    assert (stale.level, stale.ask, stale.since, stale.due) == (Level.UNKNOWN, Ask.HOLD, 5.0, 8.0)
    assert lag.again(8.0).ask is Ask.PAUSE
    assert "the last value, 1 s, is 8 s old" in lag.again(8.0).because


def test_nothing_heard_yet_holds_and_then_pauses() -> None:
    lag = Judged(make_rule())
    first = lag.again(10.0)
    assert (first.ask, first.settled, first.due, first.taken_at) == (Ask.HOLD, False, 13.0, None)
    served = lag.again(13.0)
    assert (served.ask, served.settled, served.well) == (Ask.PAUSE, True, False)
    assert served.because == "lag is unknown for 3 s: no reading yet"


@pytest.mark.parametrize(
    ("policy", "early", "late", "settled"),
    [
        ("pause", Ask.HOLD, Ask.PAUSE, False),
        ("hold", Ask.HOLD, Ask.HOLD, True),
        ("ignore", Ask.PROCEED, Ask.PROCEED, True),
    ],
)
def test_silence_means_what_the_rule_says(policy: str, early: Ask, late: Ask, settled: bool) -> None:
    lag = Judged(make_rule(no_data=policy))
    first = lag.silent(0)
    assert (first.ask, first.settled) == (early, settled)
    assert lag.silent(3).ask is late


def test_a_rule_that_only_warns_never_holds_anybody_up() -> None:
    lag = Judged(make_rule(pause="", warn="> 1s"))
    silent = lag.silent(0, now=60)
    assert (silent.ask, silent.well, silent.settled) == (Ask.PROCEED, True, True)
    loud = lag.read(9.0, 61)
    assert (loud.ask, loud.well) == (Ask.WARN, True)


def test_what_is_certain_of_an_unknown_value_may_pause_whatever_the_policy() -> None:
    lag = Judged(make_rule(no_data="ignore"))
    lag.silent(0, at_least=90.0)
    verdict = lag.silent(3, at_least=90.0)
    assert (verdict.ask, verdict.level, verdict.since, verdict.measured) == (Ask.PAUSE, Level.UNKNOWN, 0.0, False)
    assert verdict.because.endswith("refused; at least 90 s is certain")


def test_what_was_certain_long_ago_proves_nothing() -> None:
    lag = Judged(make_rule(pause="> 5s", no_data="ignore"))
    assert lag.silent(0, now=4.9, at_least=90.0).ask is Ask.PAUSE
    assert lag.again(5.0).ask is Ask.PROCEED


def test_a_silence_does_not_make_a_short_breach_long() -> None:
    lag = Judged(make_rule(no_data="ignore"))
    lag.read(7.0, 0)
    assert lag.silent(2, now=60).ask is Ask.PROCEED
    assert lag.silent(61, at_least=1.0).ask is Ask.PROCEED


def test_a_limit_that_cannot_be_judged_is_a_silence_with_the_reason() -> None:
    lag = Judged(make_rule(pause="> 1.5x baseline", resume="< 1s"))
    verdict = lag.read(7.0, 0)
    assert (verdict.level, verdict.ask) == (Level.UNKNOWN, Ask.HOLD)
    assert verdict.because == "lag is unknown for 0 s: it is 7 s, no baseline is taken yet (nothing was read before)"


def test_a_breach_that_is_certain_counts_although_a_lesser_limit_cannot_be_judged() -> None:
    lag = Judged(make_rule(pause="> 5s", warn="> 1.5x baseline"))
    assert lag.read(7.0, 0).ask is Ask.PAUSE


# -- properties --------------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.floats(0.1, 8.0),
        st.one_of(st.none(), st.floats(0.0, 40.0), st.builds(lambda part: (part,), st.none() | st.floats(0.0, 40.0))),
    ),
    max_size=25,
)
"""(seconds since the last step, what was heard: nothing, a value, or a silence with its certain part)."""


def play(rule: Rule, steps: list[tuple[float, float | tuple[float | None] | None]]) -> list[tuple[float, Verdict]]:
    judged, now, verdicts = Judged(rule), 0.0, []
    for seconds, heard in steps:
        now += seconds
        match heard:
            case None:
                verdict = judged.again(now)
            case (part,):
                verdict = judged.silent(now, at_least=part)
            case value:
                verdict = judged.read(float(value), now)
        verdicts.append((now, verdict))
    return verdicts


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.1, 60.0), st.builds(lambda part: (part,), st.none() | st.floats(0.0, 99.0)))),
    st.sampled_from(["pause", "hold", "ignore"]),
)
def test_no_sequence_of_silences_ever_asks_for_anything_destructive(
    steps: list[tuple[float, float | tuple[float | None] | None]], policy: str
) -> None:
    verdicts = play(make_rule(pause="> 5s", no_data=policy, **FULL), steps)
    assert all(verdict.ask not in DESTRUCTIVE and not verdict.measured for _, verdict in verdicts)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_what_is_destructive_rests_on_a_fresh_unbroken_series_of_breaching_readings(
    steps: list[tuple[float, float | tuple[float | None] | None]],
) -> None:
    rule = make_rule(pause="> 5s", **FULL)
    series: list[float] = []
    now = 0.0
    for (seconds, heard), (at, verdict) in zip(steps, play(rule, steps), strict=True):
        now += seconds
        match heard:
            case float(value):
                broken = value <= 10.0 or (series and now >= series[-1] + rule.stale_after)
                series = ([] if broken else series) + ([now] if value > 10.0 else [])
            case (_,):
                series = []
            case _:
                series = series if series and now < series[-1] + rule.stale_after else []
        if verdict.ask in DESTRUCTIVE:
            assert series
            assert series[-1] - series[0] >= 2.0 - 1e-9
            assert at < series[-1] + rule.stale_after
            assert verdict.measured


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_no_stale_reading_is_used_and_due_always_lies_ahead(
    steps: list[tuple[float, float | tuple[float | None] | None]],
) -> None:
    rule = make_rule(pause="> 5s for 3s", **FULL)
    for now, verdict in play(rule, steps):
        if verdict.taken_at is not None:
            assert now < verdict.taken_at + rule.stale_after
        if verdict.due is not None:
            assert verdict.due > now


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_well_means_that_only_good_readings_came_for_the_whole_time(
    steps: list[tuple[float, float | tuple[float | None] | None]],
) -> None:
    rule = make_rule(pause="> 5s", **FULL)
    now = 0.0
    good: list[float] = []
    for (seconds, heard), (_, verdict) in zip(steps, play(rule, steps), strict=True):
        now += seconds
        if heard is not None:
            gap = bool(good) and now >= good[-1] + rule.stale_after
            good = (([] if gap else good) + [now]) if isinstance(heard, float) and heard < 2.0 else []
        if verdict.well:
            assert good
            assert now >= good[0] + rule.resume.duration
