"""What a guard that was killed leaves to the next one: a cancel that it may have made, and what it had counted."""

from __future__ import annotations

import dataclasses

import pytest

from guard.cycle.flapping import OFTEN
from guard.model import Reading, Rule
from guard.ports import CancelReport, Done, Ended, Leadership, Observation
from tests.fakes import World, a_run, a_session, make_rule

QUEUE = make_rule("queue", pause="", cancel="> 3s", resume="<= 0s for 5s")
LAG = make_rule("lag", pause="> 5s", resume="< 2s")


def killed(*more: Rule, **options: object) -> World:
    """A guard that was killed while it cleared the queue behind a run, whether or not it came to that."""
    world = World(QUEUE, *more, **options)  # type: ignore[arg-type]
    world.runs = [a_run(), a_run(2, "bystander")]
    world.tick()
    world.values["queue sensor"] = None
    world.now += 1
    world.look()
    blamed = frozenset({world.runs[0].session.pid}) if world.runs[0].session else frozenset()
    world.guard.put(Observation((Reading("queue sensor", 4.0, world.now, caused_by=blamed),)))
    world.step()
    world.drop_chores()
    world.values["queue sensor"] = 0.0
    world.new_guard()
    return world


@pytest.mark.fault(5)
def test_a_cancel_that_may_have_been_made_is_told_and_counted_by_the_next_guard() -> None:
    world = killed()
    world.tick(5)
    notices = [notice for notice in world.journal.notices if notice.kind == "cancelled"]
    assert [notice.headline for notice in notices] == ["m may have been cancelled"]
    assert notices[0].because.startswith("queue 4 s > 3s")
    assert "cancelled" in world.events()
    assert {name: state.cancels for (name, _), state in world.guard.states.items()} == {"m": 1, "bystander": 0}
    world.new_guard()
    world.tick(5)
    assert world.told().count("cancelled") == 1


@pytest.mark.fault(5)
def test_what_is_being_cleared_is_kept_in_mind_until_it_is_known_what_came_of_it() -> None:
    world = World(QUEUE)
    world.runs = [a_run()]
    world.tick()
    for value in (4.0, 0.0):  # the cancel has struck, and the next reading is sooner here than the word of it
        world.values["queue sensor"] = value
        world.now += 1
        world.look()
        world.step()
    world.drop_chores()
    world.new_guard()
    world.tick(5)
    assert world.told().count("cancelled") == 1


@pytest.mark.fault(5)
def test_a_run_that_has_left_meanwhile_is_told_of_all_the_same_and_its_next_one_inherits_the_count() -> None:
    world = killed()
    world.runs = [a_run(outcome="failed", here=False)]
    world.tick()
    assert world.told().count("cancelled") == 1
    world.runs = [a_run(3)]
    world.tick()
    assert world.guard.states["m", 3].cancels == 1


def test_a_queue_that_is_there_still_is_cleared_anew_and_told_once() -> None:
    world = killed()
    world.values["queue sensor"] = 4.0
    world.canceller.reports = [CancelReport((Ended(a_session(1001, 1), "cancelled", gone=True),))]
    world.tick()
    world.values["queue sensor"] = 0.0
    world.tick(5)
    headlines = [notice.headline for notice in world.journal.notices if notice.kind == "cancelled"]
    assert headlines == ["m cancelled, the queue behind it is released"]
    assert world.guard.states["m", 1].cancels == 1


def test_a_queue_that_is_cleared_anew_before_every_rule_was_heard_is_told_and_counted_once_too() -> None:
    world = killed(LAG)
    world.values |= {"queue sensor": 4.0, "lag sensor": None}
    world.canceller.reports = [CancelReport((Ended(a_session(1001, 1), "cancelled", gone=True),))]
    world.tick()
    assert world.told().count("cancelled") == 1
    world.values |= {"queue sensor": 0.0, "lag sensor": 0.0}
    world.tick(5)
    assert world.told().count("cancelled") == 1
    assert world.guard.states["m", 1].cancels == 1


def test_a_guard_that_is_killed_again_before_it_has_read_anything_leaves_the_doubt_to_the_next() -> None:
    world = killed()
    world.values["queue sensor"] = None
    world.tick()
    world.new_guard()
    world.values["queue sensor"] = 0.0
    world.tick(2)
    assert world.told().count("cancelled") == 1


def test_a_cancel_that_is_in_the_trail_already_is_not_told_again() -> None:
    world = killed()
    world.signal.leadership = dataclasses.replace(
        world.signal.leadership, recent=(Done(world.journal.event_id + 1, "cancelled", "m", 1.0, told=True),)
    )
    world.tick(5)
    assert world.told().count("cancelled") == 0


def test_a_guard_that_only_observes_has_nothing_to_leave() -> None:
    world = killed(observing=True)
    assert not any(state.clearing for state in world.journal.kept)
    world.tick(5)
    assert "cancelled" not in world.told()


def remembering(*recent: Done) -> World:
    """A guard that comes up where others have been at work of late."""
    world = World(QUEUE, LAG)
    world.signal.leadership = dataclasses.replace(Leadership(2, 9, (), 5), recent=recent)
    return world


def test_cancels_of_runs_that_have_ended_count_across_a_restart_for_ten_minutes() -> None:
    world = remembering(*(Done(1, "cancelled", "m", age, told=True) for age in (300.0, 200.0)))
    world.runs = [a_run(3), a_run(4, "another")]
    world.tick()
    assert {name: state.cancels for (name, _), state in world.guard.states.items()} == {"m": 2, "another": 0}
    world.runs = []
    world.tick(5)
    world.now += 500.0
    world.runs = [a_run(5)]
    world.tick()
    assert world.guard.states["m", 5].cancels == 0


def test_what_was_told_too_often_is_not_told_more_often_for_a_restart() -> None:
    told = [Done(1, "paused", "m", 100.0 - i, told=True) for i in range(OFTEN)]
    for world, said in ((remembering(*told), 0), (remembering(*told[1:]), 1), (remembering(), 1)):
        world.runs = [a_run()]
        world.tick()
        world.values["lag sensor"] = 9.0
        world.tick(3)
        assert (world.phases, world.told().count("paused")) == ({"m": "paused"}, said)
