"""A rule that has too little to go by abstains: no breach, no silence, and no way to wait for ever."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from guard.cycle.frames import sample_from_list, sample_to_list
from guard.judge.verdicts import QUIET, Streak, judge
from guard.model import Ask, Level, Reading, Rule, Sample, Silence, Verdict
from tests.fakes import FakeHook, World, a_run, make_rule

FULL = {"rollback": "> 50s for 3s", "resume": "< 2s for 10s"}
WHY = "traffic 0.2 < 1"


@dataclass
class Judged:
    """A rule with its memory, and what it was given last."""

    rule: Rule
    streak: Streak = field(default_factory=Streak)

    def hear(self, sample: Sample, now: float | None = None) -> Verdict:
        verdict, self.streak = judge(self.rule, self.streak, sample, sample.taken_at if now is None else now)
        return verdict

    def read(self, value: float, at: float) -> Verdict:
        return self.hear(Reading("s", value, at))

    def abstain(self, at: float, now: float | None = None) -> Verdict:
        return self.hear(Silence("s", WHY, at, abstains=True), now)

    def silent(self, at: float) -> Verdict:
        return self.hear(Silence("s", "refused", at))


@pytest.mark.parametrize("policy", ["pause", "hold", "ignore"])
def test_a_rule_that_abstains_says_so_and_holds_up_nobody_whatever_its_policy_for_silence(policy: str) -> None:
    errors = Judged(make_rule(no_data=policy, **FULL))
    verdict = errors.abstain(0)
    assert (verdict.ask, verdict.level, verdict.settled, verdict.measured) == (Ask.PROCEED, Level.FINE, True, False)
    assert verdict.because == f"lag abstains: {WHY}"
    assert (verdict.taken_at, verdict.due) == (0, 5.0)
    for at in range(1, 200):
        assert errors.abstain(at).ask is Ask.PROCEED


def test_it_is_neither_well_at_once_nor_proof_that_there_was_no_harm() -> None:
    errors = Judged(make_rule(**FULL))
    verdict = errors.abstain(0)
    assert (verdict.well, verdict.harms) == (False, None)
    assert "60 s without a bad value" in verdict.resume
    assert Judged(make_rule()).abstain(0).harms is False


def test_a_breach_ends_where_nothing_can_be_said_and_begins_anew() -> None:
    errors = Judged(make_rule(pause="> 5s for 30s", **FULL))
    errors.read(99, 0)
    for at in range(1, 100):
        assert errors.abstain(at).ask is Ask.PROCEED
    assert errors.read(99, 100).ask is Ask.PROCEED
    for at in range(101, 103):
        assert errors.read(99, at).level is Level.FINE
    assert errors.read(99, 103).level is Level.ROLLBACK  # three seconds of readings, not a hundred


def test_a_migration_that_the_rule_paused_stays_paused_for_a_minute_of_nothing_and_no_longer() -> None:
    errors = Judged(make_rule(pause="> 5s", **FULL))
    assert errors.read(9, 0).ask is Ask.PAUSE
    first = errors.abstain(1)
    assert (first.ask, first.well) == (Ask.HOLD, False)
    for at in range(2, 61):
        verdict = errors.abstain(at)
        assert (verdict.ask, verdict.well, verdict.due) == (Ask.HOLD, False, min(1 + QUIET, at + 5))
    last = errors.abstain(61)
    assert (last.ask, last.well) == (Ask.PROCEED, True)


def test_a_resume_that_asks_for_more_than_a_minute_has_its_own_time() -> None:
    errors = Judged(make_rule(pause="> 5s", resume="< 2s for 5m"))
    errors.read(9, 0)
    for at in range(1, 301):
        assert errors.abstain(at).ask is Ask.HOLD
    assert errors.abstain(301).well


def test_traffic_about_the_limit_lets_go_after_a_minute_without_a_bad_value() -> None:
    errors = Judged(make_rule(pause="> 5s", **FULL))
    errors.read(9, 0)
    for at in range(1, 61):
        verdict = errors.abstain(at) if at % 8 < 4 else errors.read(0, at)
        assert not verdict.well
    assert errors.read(0, 61).well


@pytest.mark.parametrize("what", ["bad", "between", "silent", "gap"])
def test_that_minute_begins_anew_after_anything_else(what: str) -> None:
    errors = Judged(make_rule(pause="> 5s", **FULL))
    errors.read(9, 0)
    for at in range(1, 50):
        errors.abstain(at)
    if what == "silent":
        errors.silent(50)
    elif what == "bad":
        errors.read(9, 50)
    elif what == "between":
        errors.read(3, 50)
    begun = 56 if what == "gap" else 51
    for at in range(begun, begun + 60):
        assert not errors.abstain(at).well
    assert errors.abstain(begun + 60).well


def test_readings_that_are_well_for_their_time_need_no_minute() -> None:
    errors = Judged(make_rule(pause="> 5s", **FULL))
    errors.read(9, 0)
    errors.abstain(1)
    for at in range(2, 12):
        assert not errors.read(0, at).well
    assert errors.read(0, 12).well


def test_an_old_abstention_is_a_silence() -> None:
    errors = Judged(make_rule(**FULL))
    assert errors.abstain(0, now=4.9).level is Level.FINE
    verdict = errors.abstain(0, now=5.0)
    assert verdict.level is Level.UNKNOWN
    assert errors.abstain(0, now=8.1).ask is Ask.PAUSE


def test_a_rule_that_only_warns_holds_nobody_by_abstaining() -> None:
    errors = Judged(make_rule(pause="", warn="> 5s"))
    errors.read(9, 0)
    verdict = errors.abstain(1)
    assert (verdict.ask, verdict.well) == (Ask.PROCEED, True)


def test_a_run_starts_beside_a_rule_that_abstains_and_after_a_rest_waits_for_a_fresh_word() -> None:
    world = World(make_rule(pause="> 5s for 3s"))
    little = Silence("lag sensor", WHY, 100.0, abstains=True)
    world.values["lag sensor"] = little
    world.tick()
    world.values["lag sensor"] = None
    world.tick(9)
    world.runs.append(a_run())
    world.tick()
    assert world.word() == "pause"
    world.values["lag sensor"] = Silence("lag sensor", WHY, 111.0, abstains=True)
    world.tick()
    assert world.word() == "proceed"


def test_a_rule_that_abstained_as_a_run_began_rolls_nothing_back() -> None:
    hook = FakeHook()
    world = World(make_rule(pause="", rollback="> 50s for 2s", resume="< 2s for 1s"), hook=hook)
    world.values["lag sensor"] = Silence("lag sensor", WHY, 101.0, abstains=True)
    world.runs = [a_run()]
    world.tick(2)
    assert world.phases == {"m": "running"}
    world.values["lag sensor"] = 0.0
    world.runs = [a_run(rows_done=5)]
    world.tick(2)
    world.values["lag sensor"] = 99.0
    world.tick(5)
    assert (world.phases, hook.runs) == ({"m": "paused"}, [])
    [asked] = [notice for notice in world.journal.notices if notice.kind == "rollback_due"]
    assert "lag was not known to be well before the run began" in repr(asked)


@pytest.mark.parametrize(
    "sample", [Silence("s", WHY, 1.0, abstains=True), Silence("s", "x", 1.0, 1.0), Silence("s", "x", 1.0)]
)
def test_the_record_of_a_run_keeps_it(sample: Silence) -> None:
    assert sample_from_list(sample_to_list(sample)) == sample
