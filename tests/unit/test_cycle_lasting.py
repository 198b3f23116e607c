"""What a guard keeps through a restart, a silence and a wall clock that is set."""

from __future__ import annotations

from typing import cast

import pytest

from guard.cycle.lasting import is_newer
from guard.decide.ladder import FORGIVEN_AFTER
from guard.decide.notices import Draft
from guard.model import Phase, Severity, Silence, State
from guard.ports import CancelReport, Ended, Leadership
from guard.records import notice_to_dict, state_from_dict
from tests.fakes import WALL, FakeHook, FakeJournal, World, a_run, a_session, make_rule

ERRORS = make_rule("errors", pause="> 2s", rollback="> 5s for 2s", resume="< 1s for 5s")
QUEUE = make_rule("queue", pause="", cancel=">= 3s", resume="< 1s for 1s")


def suspected() -> World:
    """A run whose errors began before it had applied anything, and which has applied something since."""
    world = World(ERRORS, hook=FakeHook())
    world.runs = [a_run()]
    world.tick()
    world.values["errors sensor"] = 6.0
    world.tick()
    world.runs = [a_run(rows_done=10)]
    world.tick()
    return world


def rolled_back(world: World) -> bool:
    assert world.hook is not None
    return world.hook.runs != []


@pytest.mark.parametrize("how", ["nothing", "restart", "restart without its disk", "silence", "clock set back"])
def test_a_breach_that_began_before_the_run_applied_anything_never_rolls_it_back(how: str) -> None:
    world = suspected()
    if how == "silence":
        world.values["errors sensor"] = Silence("errors sensor", "no data", world.now)
        world.tick(10)
        world.values["errors sensor"] = 6.0
    elif how == "clock set back":
        world.clock_set_by = -7200.0
    elif how != "nothing":
        if how == "restart without its disk":
            events = [event for publication in world.signal.published for event in publication.events]
            last = state_from_dict(cast("dict[str, object]", events[-1].payload["state"]))
            world.journal, world.signal.leadership = FakeJournal(), Leadership(2, 9, (last,), 9)
        world.new_guard()
    world.tick(20)
    assert not rolled_back(world)
    assert world.told().count("rollback_due") == 1
    assert world.phases == {"m": "paused"}


def test_a_limit_that_was_kept_again_since_is_no_suspect_any_more() -> None:
    world = suspected()
    world.values["errors sensor"] = 0.0
    world.tick(8)
    world.values["errors sensor"] = 6.0
    world.tick(4)
    assert rolled_back(world)


@pytest.mark.parametrize("seen", [True, False])
def test_a_guard_killed_in_a_breach_rolls_back_only_what_was_seen_to_come_after_the_change(*, seen: bool) -> None:
    world = World(ERRORS, hook=FakeHook())
    world.runs = [a_run()]
    world.tick()
    if seen:
        world.runs = [a_run(rows_done=10)]
        world.tick()
    world.new_guard()  # what it does not see, it first learns of together: rows applied, and errors
    world.runs = [a_run(rows_done=10)]
    world.values["errors sensor"] = 6.0
    world.tick(5)
    assert rolled_back(world) is seen


def test_what_nobody_could_see_when_the_run_first_applied_something_rolls_nothing_back() -> None:
    world = World(ERRORS, hook=FakeHook())
    world.runs = [a_run()]
    world.tick()
    world.values["errors sensor"] = Silence("errors sensor", "no data", world.now)
    world.runs = [a_run(rows_done=10)]
    world.tick(2)
    world.values["errors sensor"] = 6.0
    world.tick(5)
    assert not rolled_back(world)
    assert "the breach began before" in world.journal.notices[-1].next_step


def test_a_run_that_works_in_pieces_is_forgiven_its_cancels_like_one_that_works_at_a_stretch() -> None:
    world = World(QUEUE, make_rule("lag", pause="> 5s", resume="< 2s"))
    world.runs = [a_run()]
    world.tick()
    world.canceller.reports = [CancelReport((Ended(a_session(1001, 1), "cancelled", gone=True),))]

    def queue() -> None:
        world.values["queue sensor"] = 4.0
        world.tick()
        world.values["queue sensor"] = 0.0
        world.tick(4)

    queue()
    queue()
    for _ in range(int(FORGIVEN_AFTER / 100) + 1):
        world.tick(100, by=2)
        world.values["lag sensor"] = 9.0
        world.tick(2)
        world.values["lag sensor"] = 0.0
        world.tick(2)
    queue()
    assert world.phases == {"m": "running"}
    assert world.guard.states["m", 1].cancels == 1
    queue()
    queue()
    assert world.phases == {"m": "aborted"}


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_soak_lasts_as_long_as_it_was_meant_to_whatever_the_wall_clock_is_set_to(hours: int) -> None:
    world = World(ERRORS, soak={"*": 60.0})
    world.runs = [a_run(), a_run(2, "n")]
    world.tick()
    world.runs = [a_run(outcome="done"), a_run(2, "n")]
    world.tick()
    world.clock_set_by = hours * 3600.0
    world.tick(55)
    assert world.phases == {"m": "soaking", "n": "running"}
    world.tick(6)
    assert world.phases == {"n": "running"}


def test_of_two_memories_the_later_one_counts_although_the_clock_was_set_back_between_them() -> None:
    running = State("m", 1, Phase.RUNNING, "", WALL, epoch=3)
    aborted = State("m", 1, Phase.ABORTED, "", WALL - 7200.0, epoch=4)
    assert is_newer(aborted, running, even=False)
    assert not is_newer(running, aborted, even=True)
    assert not is_newer(running, running, even=False)
    assert is_newer(running, running, even=True)
    # Sessions without a run share one name: each time they come it begins anew, with no epoch yet.
    old, new = State("*", None, Phase.PAUSED, "", WALL, epoch=9), State("*", None, Phase.RUNNING, "", WALL + 1)
    assert is_newer(new, old, even=False)


def test_people_are_told_of_what_concerns_the_guard_itself_and_it_is_in_the_trail() -> None:
    world = World(ERRORS)
    world.guard.tell(Draft("late", Severity.WARNING, "was late", "it stood still", about="migration-guard"), world.wall)
    world.tick()
    [notice] = world.journal.notices
    assert (notice.headline, notice.migration, notice.run_id) == ("migration-guard was late", "*", None)
    [event] = world.signal.published[-1].events
    assert (event.kind, event.payload) == ("late", {"notice": notice_to_dict(notice)})
