"""While nobody migrates sources are asked seldom: that is no silence, and does not hold up who comes next."""

from __future__ import annotations

import pytest

from guard.model import Run, Session, Silence
from tests.fakes import World, a_run, a_session, make_rule

RULE = make_rule(pause="> 5s for 3s", resume="< 2s for 15s")


def rested(value: float | Silence = 0.0, runs: tuple[Run, ...] = ()) -> World:
    """A world whose source was read every 10 s for a minute, and is 9 s old; the roster is always fresh."""
    world = World(RULE)
    world.runs, world.values["lag sensor"] = list(runs), value
    for _ in range(6):
        world.tick()
        seen, world.values["lag sensor"] = world.values["lag sensor"], None
        world.tick(9)
        world.values["lag sensor"] = seen
    world.values["lag sensor"] = None
    return world


@pytest.mark.parametrize("old", [(), (a_run(9, "done", here=False, outcome="done"), a_run(8, "gone", here=False))])
def test_a_run_that_comes_after_a_rest_starts_with_the_first_fresh_reading(old: tuple[Run, ...]) -> None:
    world = rested(runs=old)
    world.runs.append(a_run())
    world.tick()
    assert world.word() == "pause"
    world.values["lag sensor"] = 0.0
    world.tick()
    assert world.word() == "proceed"


def test_sessions_that_registered_nothing_end_the_rest_too() -> None:
    world = rested()
    strangers: list[Session] = [a_session(7)]
    world.strangers = strangers
    world.tick(5)
    assert world.guard.board.verdicts["lag"].ask.name == "PAUSE"


def test_a_source_that_stays_silent_after_the_rest_pauses_after_its_time() -> None:
    world = rested()
    world.runs = [a_run()]
    world.tick()
    assert world.guard.board.verdicts["lag"].ask.name == "HOLD"
    world.tick(4)
    assert world.guard.board.verdicts["lag"].ask.name == "PAUSE"
    assert world.word() == "pause"


def test_a_breach_seen_in_the_rest_keeps_the_next_run_from_starting() -> None:
    world = rested(7.0)
    world.runs = [a_run()]
    world.values["lag sensor"] = 7.0
    world.tick(2)
    assert world.word() == "pause"


def test_a_silence_that_was_said_in_the_rest_is_one() -> None:
    world = rested(Silence("lag sensor", "replica1 is missing", 100.0))
    assert world.guard.board.verdicts["lag"].ask.name == "PAUSE"
