"""Migrations that pace themselves: what the guard says for them, and what it tells of those that are starved."""

from __future__ import annotations

import dataclasses

import pytest

from guard.client.valve import Limits, Seen, Valve
from guard.cycle.starving import MARK
from guard.cycle.words import pacing
from guard.judge.conditions import complement, parse_condition
from guard.model import Dimension, Rule
from tests.fakes import World, a_run

STANDBYS = ("a", "b")


def lag(pause: str, metric: str = "replication.lag") -> Rule:
    condition = parse_condition(pause, Dimension.SECONDS)
    return Rule("lag", metric, metric, Dimension.SECONDS, resume=complement(condition), pause=condition)


@pytest.mark.parametrize(
    ("pauses", "wanted"),
    [
        (["> 5s for 3s"], 5.0),
        (["> 5s", ">= 2s for 1m"], 2.0),
        (["> 1.5x baseline and > 3s"], 3.0),
        (["> 1.5x baseline", "> 8s"], 8.0),
        (["> 1.5x baseline"], None),
        (["< 5s"], None),
        ([], None),
    ],
)
def test_the_first_rule_that_pauses_gives_the_limit(pauses: list[str], wanted: float | None) -> None:
    said = pacing([lag(each) for each in pauses], STANDBYS)
    assert said == {"standbys": ["a", "b"]} | ({} if wanted is None else {"lag": wanted})


def test_other_metrics_and_rules_that_only_warn_give_no_limit() -> None:
    warns = dataclasses.replace(lag("> 1s"), pause=None)
    assert pacing([warns, lag("> 1s", "replication.reply_age"), lag("> 9s")], 2) == {"standbys": 2, "lag": 9.0}


def test_that_there_are_none_on_purpose_is_said_and_that_it_is_not_known_is_not() -> None:
    assert pacing([], ()) == {"standbys": []}
    assert pacing([], None) == {}
    assert pacing([], 2, ("far",)) == {"standbys": 2, "aside": ["far"]}


def test_the_report_holds_it() -> None:
    world = World(lag("> 5s"), standbys=("a", "b"))
    world.values = {"replication.lag": 0.0}
    world.runs = [a_run(1, "m")]
    world.tick(2)
    report = next(each.report for each in reversed(world.signal.published) if each.report is not None)
    assert report["pacing"] == {"standbys": ["a", "b"], "lag": 5.0}


NOTE = f"half way; {MARK} (12.0 MB/s): replica1 has 40.0 MB to replay, above the window of 5.0 MB without its own"


def test_who_is_starved_is_told_once_and_that_it_is_over_too() -> None:
    world = World(lag("> 5s"))
    world.values = {"replication.lag": 0.0}
    world.runs = [a_run(1, "m"), a_run(2, "other", note="fine")]
    world.tick(2)
    before = world.told()
    world.runs = [a_run(1, "m", note=NOTE), world.runs[1]]
    world.tick(3)
    assert world.told() == [*before, "starved"]
    notice = world.journal.notices[-1]
    assert notice.migration == "m"
    assert notice.because == NOTE.removeprefix("half way; ")
    world.runs = [a_run(1, "m", note="half way"), world.runs[1]]
    world.tick(3)
    assert world.told() == [*before, "starved", "fed"]
    assert world.phases == {"m": "running", "other": "running"}


def test_a_run_that_ends_starved_is_told_to_have_ended_and_nothing_more() -> None:
    world = World(lag("> 5s"))
    world.values = {"replication.lag": 0.0}
    world.runs = [a_run(1, "m", note=NOTE)]
    world.tick(2)
    assert world.told().count("starved") == 1
    world.runs = [a_run(1, "m", note=NOTE, outcome="done", here=False)]
    world.tick(2)
    assert world.told()[-1] == "ended"
    assert "fed" not in world.told()
    soaking = World(lag("> 5s"), soak={"*": 60.0})
    soaking.values = {"replication.lag": 0.0}
    soaking.runs = [a_run(1, "m", rows_done=1)]
    soaking.tick(2)
    soaking.runs = [a_run(1, "m", rows_done=2, note=NOTE, outcome="done", here=False)]
    soaking.tick(2)
    assert soaking.phases == {"m": "soaking"}
    assert "starved" not in soaking.told()


def test_before_anybody_was_looked_for_nothing_is_told() -> None:
    world = World(lag("> 5s"))
    world.step()
    assert world.told() == []


def test_the_clients_alarm_is_what_the_guard_looks_for() -> None:
    valve = Valve(Limits(window=1, alert_after=0.0))
    valve.ended(0.0, 1.0)
    valve.hear(Seen(100, "a", 0, 100, 1, 1), 0.0)
    assert valve.alarm.startswith(MARK)
