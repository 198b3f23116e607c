"""What comes and goes is told a few times; what lasts is told late; nothing is held back from the migration."""

from __future__ import annotations

import pytest

from guard.cycle.flapping import OFTEN, PATIENCE, WINDOW
from tests.fakes import World, a_run, make_rule

SENSOR = "lag sensor"


@pytest.fixture
def world() -> World:
    """One run that is at work."""
    world = World(make_rule(warn="> 3s", pause="> 5s", resume="< 2s"))
    world.runs = [a_run()]
    world.tick()
    return world


def come_and_go(world: World, times: int, value: float = 7.0) -> None:
    for _ in range(times):
        world.values[SENSOR] = value
        world.tick()
        assert world.word() == ("pause" if value > 5 else "proceed")
        world.values[SENSOR] = 0.0
        world.tick()
        assert world.word() == "proceed"


def test_of_many_pauses_each_stops_the_migration_and_is_written_down_while_three_are_told(world: World) -> None:
    come_and_go(world, 8)
    assert world.told() == ["started"] + OFTEN * ["paused", "resumed"]
    assert world.events().count("paused") == world.events().count("resumed") == 8
    notes = [notice for notice in world.journal.notices if "comes and goes" in notice.fields.get("from now on", "")]
    assert [notice.kind for notice in notes] == ["paused"]
    assert notes[0] is [notice for notice in world.journal.notices if notice.kind == "paused"][-1]


def test_a_pause_that_was_held_back_and_lasts_is_told_with_how_long_and_so_is_its_end(world: World) -> None:
    come_and_go(world, OFTEN)
    world.values[SENSOR] = 7.0
    world.tick(int(PATIENCE))
    assert world.told().count("paused") == OFTEN
    world.tick(2)
    assert world.told().count("paused") == OFTEN + 1
    assert world.journal.notices[-1].fields["lasting for"] == "2 min"
    assert world.events()[-1] == "lasts"
    world.tick(int(PATIENCE) + 2)
    assert world.told().count("paused") == OFTEN + 1
    world.values[SENSOR] = 0.0
    world.tick()
    assert world.told()[-1] == "resumed"


def test_after_a_quiet_time_all_is_told_again(world: World) -> None:
    come_and_go(world, OFTEN + 1)
    world.tick(int(WINDOW))
    come_and_go(world, 1)
    assert world.told()[-2:] == ["paused", "resumed"]
    assert world.told().count("paused") == OFTEN + 1


def test_warnings_that_come_and_go_are_held_back_too_and_do_not_count_as_pauses(world: World) -> None:
    come_and_go(world, OFTEN + 2, value=4.0)
    assert world.told() == ["started"] + OFTEN * ["warned"]
    come_and_go(world, 1)
    assert world.told()[-2:] == ["paused", "resumed"]


def test_an_end_is_told_whatever_was_held_back_before_it(world: World) -> None:
    come_and_go(world, OFTEN)
    world.values[SENSOR] = 7.0
    world.tick()
    world.runs = [a_run(outcome="failed", here=False)]
    world.tick(int(PATIENCE) + 2)
    assert world.told()[-1] in {"ended", "soaking"}
    assert "lasts" not in world.events()


def test_what_was_held_back_of_a_run_that_a_human_has_forgotten_is_not_told(world: World) -> None:
    come_and_go(world, OFTEN)
    world.values[SENSOR] = 7.0
    world.tick()
    world.guard.states.clear()
    world.guard._runs.closed.add(1)
    world.tick(int(PATIENCE) + 2)
    assert "lasts" not in world.events()
