"""What stands beside the reason of a message: who, how far, how bad, since when, and when it goes on."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from guard.decide.bounds import Bounds, Flap
from guard.model import EVERYONE, Notice, OperatorOrder, Rule, Run, Silence
from tests.fakes import World, a_run, a_session, an_order, make_rule

LAG = make_rule("lag", pause="> 5s", resume="< 2s for 10s")
SENSOR = "lag sensor"


def last(world: World, kind: str) -> Notice:
    return [notice for notice in world.journal.notices if notice.kind == kind][-1]


def at_work(*rules: Rule, **options: Any) -> World:
    """A run that has done something, and was heard of two seconds ago, at 22:15:13 UTC."""
    world = World(*(rules or (LAG,)), **options)
    world.runs = [a_run()]
    world.tick()
    world.runs = [a_run(rows_done=1200, batches_done=2)]
    world.tick(11)
    heard = world.wall + 1 - 2
    world.runs = [dataclasses.replace(world.runs[0], last_seen_wall=heard)]
    return world


def breached(world: World, value: float = 7.0) -> Notice:
    world.values[SENSOR] = value
    world.tick()
    return last(world, "paused")


def given(world: World, kind: str, migration: str = "m", **more: Any) -> OperatorOrder:
    return dataclasses.replace(an_order(kind, migration, **more), created_wall=world.wall)


# -- a pause -----------------------------------------------------------------------------------------------------------


def test_a_pause_is_told_with_who_it_is_how_far_it_is_and_when_it_may_go_on() -> None:
    notice = breached(at_work())
    assert dict(notice.fields) == {
        "session": "pid 1001 (migrator, migration:m)",
        "done so far": "1,200 rows in 2 batches; last heard of 2 s ago",
        "before": "running for 12 s",
    }
    assert notice.next_step == (
        "It goes on by itself once every rule has been well for its time: lag < 2s for 10s. "
        "At the earliest at 22:15:23 UTC, in 10 s."
    )


def test_a_worse_value_than_the_present_one_is_told_with_its_time() -> None:
    world = at_work(make_rule("lag", pause="> 5s for 3s", resume="< 2s for 10s"))
    world.values[SENSOR] = 9.0
    world.tick()
    world.values[SENSOR] = 6.0
    world.tick(3)
    assert last(world, "paused").fields["worst"] == "lag 9 s at 22:15:13 UTC"


def test_of_a_signal_that_must_not_be_low_the_least_value_is_the_worst() -> None:
    world = World(make_rule("lag", pause="< 5s for 3s", resume="> 8s"))
    world.values[SENSOR] = 9.0
    world.runs = [a_run()]
    world.tick(5)
    for value in (3.0, 2.0, 4.0, 4.0):
        world.values[SENSOR] = value
        world.tick()
    assert last(world, "paused").fields["worst"].startswith("lag 2 s at ")


def test_what_is_no_number_is_not_the_worst() -> None:
    world = at_work(make_rule("lag", pause="> 5s for 2s", resume="< 2s"))
    for value in (9.0, float("nan"), 6.0):
        world.values[SENSOR] = value
        world.tick()
    assert last(world, "paused").fields["worst"].startswith("lag 9 s at ")


def test_the_worst_of_an_earlier_pause_is_not_told_of_a_later_one() -> None:
    world = at_work(make_rule("lag", pause="> 5s", resume="< 2s"))
    breached(world, 50.0)
    world.values[SENSOR] = 1.0
    world.tick(2)
    breached(world, 7.0)
    world.values[SENSOR] = 1.0
    world.tick()
    assert last(world, "resumed").fields["worst"].startswith("lag 7 s at ")


def test_the_shortest_pause_and_the_slowest_rule_say_when_it_may_go_on() -> None:
    slow = make_rule("errors", pause="> 5s", resume="< 2s for 30s")
    world = at_work(LAG, slow, bounds=Bounds(shortest_pause=60.0))
    world.values["errors sensor"] = 6.0
    assert breached(world).next_step.endswith("At the earliest at 22:16:13 UTC, in 60 s.")
    world = at_work(LAG, slow)
    world.values["errors sensor"] = 6.0
    assert breached(world).next_step.endswith("At the earliest at 22:15:43 UTC, in 30 s.")


def test_where_nobody_can_tell_when_it_goes_on_no_time_is_told() -> None:
    world = at_work(bounds=Bounds(flap=Flap(1, 600.0)))
    world.values[SENSOR] = 7.0
    world.tick()
    assert "earliest" not in last(world, "stays_paused").next_step


def test_a_pause_that_was_held_back_is_told_with_how_it_stands_by_then() -> None:
    world = at_work(make_rule("lag", pause="> 5s", resume="< 2s for 4s"))
    for _ in range(3):
        breached(world)
        world.values[SENSOR] = 0.0
        world.tick(6)
    breached(world)
    since = world.wall
    world.values[SENSOR] = 7.5
    world.tick(121)
    notice = last(world, "paused")
    assert notice.at_wall == since + 120
    assert notice.fields["since"] == "2023-11-14 22:15:34 UTC"
    assert notice.fields["worst"] == "lag 7.5 s at 22:15:35 UTC"
    assert notice.next_step.endswith("At the earliest at 22:17:38 UTC, in 4 s.")


def test_of_sessions_that_never_ask_and_by_a_guard_that_observes_no_end_of_the_pause_is_promised() -> None:
    world = World(LAG)
    world.strangers = [a_session(9)]
    world.tick(12)
    notice = breached(world)
    assert (dict(notice.fields), "earliest" in notice.next_step) == ({"before": "running for 12 s"}, False)
    observed = breached(at_work(observing=True))
    assert (dict(observed.fields), observed.next_step) == ({"before": "running for 12 s"}, "")


@pytest.mark.parametrize(
    ("run", "session"),
    [
        (a_run(members=(a_session(5), a_session(6))), "pid 1001 (migrator, migration:m), and 2 more"),
        (a_run(here=False, pooled=True), "behind a pooler"),
        (a_run(here=False), "its session is gone"),
    ],
)
def test_who_is_paused_is_told_also_where_no_session_of_it_can_be_seen(run: Run, session: str) -> None:
    world = at_work()
    world.runs = [dataclasses.replace(run, last_seen_wall=world.wall)]
    notice = breached(world)
    assert notice.fields["session"] == session
    assert notice.fields["done so far"].startswith("nothing reported yet; last heard of 1 s ago")


# -- operators' orders beside the guard's ------------------------------------------------------------------------------


def test_who_goes_on_by_an_override_is_not_told_to_wait_for_the_rules() -> None:
    world = at_work()
    world.orders = [given(world, "override", expires_wall=world.wall + 600)]
    notice = breached(world)
    assert notice.next_step == (
        "It goes on all the same: the override by ada (because I say so) stands until 22:25:12 UTC. "
        "A lock queue behind it is cleared all the same."
    )


@pytest.mark.parametrize("migration", ["m", EVERYONE])
def test_who_may_go_on_by_the_rules_and_not_by_an_operator_is_told_so(migration: str) -> None:
    world = at_work()
    breached(world)
    world.orders = [dataclasses.replace(given(world, "pause", migration), reason="")]
    world.values[SENSOR] = 0.0
    world.tick(12)
    notice = last(world, "resumed")
    assert notice.next_step == "It begins no batch all the same: the pause by ada stands until somebody takes it back."
    assert list(notice.fields) == [
        "paused for", "paused because", "worst", "the pause was", "session", "done so far",
    ]  # fmt: skip


def test_who_goes_on_with_a_warning_is_told_how_long_it_had_been_paused() -> None:
    world = at_work(make_rule("lag", warn="> 1s", pause="> 5s", resume="< 3s"))
    breached(world)
    world.values[SENSOR] = 2.0
    world.tick(3)
    assert last(world, "warned").fields["paused for"] == "1 s"
    world.values[SENSOR] = 0.5
    world.tick()
    world.values[SENSOR] = 2.0
    world.tick()
    assert "paused for" not in last(world, "warned").fields


def test_an_order_for_another_migration_is_no_word_on_this_one() -> None:
    world = at_work()
    world.orders = [given(world, "override", "n")]
    assert "earliest" in breached(world).next_step


# -- reminders ---------------------------------------------------------------------------------------------------------


def test_a_reminder_says_since_when_how_it_is_now_and_how_bad_it_was() -> None:
    world = at_work(bounds=Bounds(longest_pause=60.0))
    breached(world, 9.0)
    world.values[SENSOR] = 6.0
    world.tick(60)
    assert dict(last(world, "pause_lasts").fields) == {
        "reminder": "number 1; the next one once it has lasted 2 min",
        "since": "2023-11-14 22:15:13 UTC",
        "now": "lag 6 s > 5s, now for 60 s (0 s old)",
        "worst": "lag 9 s at 22:15:13 UTC",
        "the pause was": "never acknowledged, not seen to hold",
        "session": "pid 1001 (migrator, migration:m)",
        "done so far": "1,200 rows in 2 batches; last heard of 62 s ago",
    }
    assert last(world, "pause_lasts").next_step.endswith("At the earliest at 22:16:23 UTC, in 10 s.")


def test_a_reminder_of_one_that_stays_paused_while_all_is_well_says_so() -> None:
    world = at_work(bounds=Bounds(flap=Flap(1, 600.0), longest_pause=60.0))
    world.values[SENSOR] = 7.0
    world.tick()
    world.values[SENSOR] = 0.0
    world.tick(61)
    assert last(world, "pause_lasts").fields["now"] == "every rule is well"


def test_what_nobody_sees_is_told_as_it_was() -> None:
    world = at_work(bounds=Bounds(longest_unknown=20.0))
    world.values[SENSOR] = Silence(SENSOR, "no answer", world.now)
    world.tick(30)
    assert last(world, "unknown_lasts").fields == {}


# -- a new configuration -----------------------------------------------------------------------------------------------


def test_a_rule_that_asks_another_sensor_begins_anew_and_one_that_is_gone_is_not_told_of() -> None:
    world = at_work(LAG, make_rule("errors", pause="> 5s"))
    world.values["errors sensor"] = 3.0
    world.values[SENSOR] = 4.0
    world.tick(2)
    other = dataclasses.replace(LAG, sensor="other sensor")
    world.guard.reconfigure(dataclasses.replace(world.options, rules=(other,)), {})
    world.values = {"other sensor": 1.0}
    world.tick(3)
    world.runs = [a_run(outcome="done", here=False)]
    world.tick()
    assert last(world, "ended").fields["worst"].startswith("lag 1 s (limit > 5s) at ")
    assert "errors" not in last(world, "ended").fields["worst"]


def test_of_a_pause_that_a_guard_before_began_the_worst_is_claimed_only_since_this_one_looks() -> None:
    world = at_work()
    breached(world, 50.0)
    world.values[SENSOR] = 7.0
    world.tick(5)
    world.new_guard()
    world.tick(5)
    world.values[SENSOR] = 0.0
    world.tick(12)
    known = "lag 7 s at 22:15:19 UTC; known only since 22:15:19 UTC, when the guard was started anew"
    assert last(world, "resumed").fields["worst"] == known
    breached(world, 8.0)
    world.values[SENSOR] = 0.0
    world.tick(12)
    assert "anew" not in last(world, "resumed").fields["worst"]
