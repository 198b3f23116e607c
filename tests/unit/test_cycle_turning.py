"""A mode that is changed under a run: who is told to be paused is paused, and who is not held is told not to be."""

from __future__ import annotations

import dataclasses

from guard.model import Notice, Severity
from tests.fakes import World, a_run, make_rule

LAG = make_rule("lag", pause="> 5s", resume="< 2s for 4s")
SENSOR = "lag sensor"


def at_work(*, observing: bool) -> World:
    world = World(LAG, observing=observing)
    world.runs = [a_run()]
    world.tick(12)
    return world


def breached(world: World) -> World:
    world.values[SENSOR] = 7.0
    world.tick()
    return world


def turn(world: World, *, observing: bool, restart: bool = False) -> list[Notice]:
    """What is told in the five seconds after the mode was changed."""
    before = len(world.journal.notices)
    world.options = dataclasses.replace(world.options, observing=observing)
    if restart:
        world.new_guard()
    else:
        world.guard.reconfigure(world.options, {})
    world.tick(5)
    return world.journal.notices[before:]


def over(world: World) -> Notice:
    """The last word on its run, which ends well after a quiet time."""
    world.values[SENSOR] = 0.0
    world.tick(10)
    world.runs = [a_run(rows_done=6000, outcome="done", here=False)]
    world.tick()
    return world.journal.notices[-1]


def test_a_pause_that_was_only_thought_of_is_told_once_it_holds_by_a_reload_or_a_restart() -> None:
    for restart in (False, True):
        world = breached(at_work(observing=True))
        world.tick(20)
        at = world.wall + 1
        (told,) = turn(world, observing=False, restart=restart)
        assert (told.kind, told.severity, told.headline) == ("paused", Severity.WARNING, "m paused")
        assert (told.at_wall, told.fields["since"]) == (at, "2023-11-14 22:15:34 UTC")
        assert world.word() == "pause"


def test_whom_a_guard_holds_no_more_since_it_only_observes_is_told_to_go_on() -> None:
    world = breached(at_work(observing=False))
    (told,) = turn(world, observing=True)
    assert (told.kind, told.headline) == ("resumed", "m is not held any more")
    assert "only observes from now on" in told.because
    assert world.word() == "proceed"
    assert turn(world, observing=True) == []


def test_a_pause_that_was_held_back_is_not_told_later_by_a_guard_that_holds_nobody() -> None:
    world = at_work(observing=False)
    for _ in range(3):
        breached(world)
        world.values[SENSOR] = 0.0
        world.tick(6)
    breached(world)
    assert [told.kind for told in turn(world, observing=True)] == ["resumed"]
    before = len(world.journal.notices)
    world.tick(200)
    assert world.journal.notices[before:] == []


def test_pauses_of_both_kinds_are_told_as_such_at_the_end_and_give_no_speed() -> None:
    world = breached(at_work(observing=True))
    turn(world, observing=False)
    fields = over(world).fields
    assert fields["paused"] == "once, for 10 s, by lag; in part in observe mode, which held nobody"
    assert fields["done"] == "6,000 rows"


def test_a_mode_that_is_changed_while_nothing_is_paused_is_no_news_of_a_run() -> None:
    world = at_work(observing=True)
    assert turn(world, observing=False) == []
    assert over(world).fields["paused"] == "never"
    world = breached(at_work(observing=True))
    world.values[SENSOR] = 0.0
    world.tick(10)
    assert turn(world, observing=False) == []
    assert over(world).fields["paused"].endswith("in part in observe mode, which held nobody")


def test_who_would_have_been_paused_was_at_work_all_the_time() -> None:
    world = breached(at_work(observing=True))
    world.runs = [a_run(rows_done=6000)]
    fields = over(world).fields
    assert fields["took"].startswith("23 s")
    assert fields["done"] == "6,000 rows, 261 rows a second while at work"
