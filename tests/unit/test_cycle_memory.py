"""A guard that has seen thousands of migrations remembers no more of them than it needs."""

from __future__ import annotations

import pytest

from guard.cycle import board, ledger
from tests.fakes import World, a_run, make_rule

LAG = make_rule("lag", pause="> 5s", resume="< 2s for 1s")
QUEUE = make_rule("queue", pause="", cancel="> 3s", resume="<= 0s for 1s")


def come_and_go(world: World, numbers: range) -> None:
    """Migrations, each of a name of its own, that are paused, hold up a queue, and vanish."""
    for number in numbers:
        world.runs = [a_run(number, f"m{number}")]
        world.tick()
        world.values |= {"lag sensor": 9.0, "queue sensor": 4.0}
        world.tick(2)
        world.values |= {"lag sensor": 0.0, "queue sensor": 0.0}
        world.runs = []
        world.tick(5)
    assert world.guard.states == {}


def sizes(world: World) -> dict[str, int]:
    guard = world.guard
    return {
        "told": len(guard._ledger._told),
        "flapping": len(guard._adopting._flapping._lately),
        "started": len(guard._acting._started),
        "courses": len(guard._courses._courses),
        "missing": len(guard.board._missing_since),
    }


@pytest.mark.parametrize("observing", [True, False])
def test_what_is_remembered_of_those_that_have_left_is_bounded(
    monkeypatch: pytest.MonkeyPatch, *, observing: bool
) -> None:
    monkeypatch.setattr(ledger, "ONCE_KEPT", 5)
    monkeypatch.setattr(board, "MISSING_KEPT", 5)
    world = World(LAG, QUEUE, observing=observing)
    come_and_go(world, range(1, 21))
    world.now += 700.0  # what was told ten minutes ago is no longer counted
    come_and_go(world, range(21, 22))
    remembered = sizes(world)
    assert all(size <= 5 for size in remembered.values()), remembered
    assert remembered["told" if observing else "started"] > 0
    assert remembered["flapping"] * remembered["missing"] > 0
