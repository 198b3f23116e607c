"""The built-in rule of a database with several hosts: two primaries pause, a host that says nothing does not."""

from guard.judge.verdicts import Streak, judge
from guard.model import Ask, Reading, Silence
from guard.model.sensors import METRICS
from guard.settings import ONE_PRIMARY_METRIC, GuardSettings, one_primary

RULE = one_primary(GuardSettings("g"), taken=())


def test_two_primaries_pause_at_once_and_one_resumes_after_ten_seconds() -> None:
    two = Reading(ONE_PRIMARY_METRIC, 2.0, 1.0, "two primaries: db1 (timeline 5), db2 (timeline 6)")
    verdict, streak = judge(RULE, Streak(), two, 1.0)
    assert verdict.ask is Ask.PAUSE
    assert "two primaries: db1 (timeline 5), db2 (timeline 6)" in verdict.because
    verdict, streak = judge(RULE, streak, Reading(ONE_PRIMARY_METRIC, 1.0, 2.0), 2.0)
    assert (verdict.ask, verdict.well) == (Ask.HOLD, False)
    for second in range(3, 13):
        verdict, streak = judge(RULE, streak, Reading(ONE_PRIMARY_METRIC, 1.0, float(second)), float(second))
    assert (verdict.ask, verdict.well) == (Ask.PROCEED, True)


def test_silence_stops_nobody() -> None:
    verdict, _ = judge(RULE, Streak(), Silence(ONE_PRIMARY_METRIC, "closed", 1.0), 60.0)
    assert (verdict.ask, verdict.well) == (Ask.PROCEED, True)


def test_it_has_a_name_of_its_own_and_a_metric_that_a_rule_may_use() -> None:
    assert RULE.name == "one primary"
    assert one_primary(GuardSettings("g"), taken={"one primary"}).name == "database.primaries"
    assert RULE.metric in METRICS
    assert one_primary(GuardSettings("g", poll_interval=0.1, lease=3.0), taken=()).stale_after == 3.0
