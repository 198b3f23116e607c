"""The whole guard among fakes, for thousands of random steps: its phases and orders are those of the plain model."""

from __future__ import annotations

import random

import pytest

from guard.decide.bounds import FLAP_BREAKER, Bounds, Flap
from guard.decide.ladder import Circumstances
from guard.decide.machine import ORDERS
from guard.model import Phase, Rule, Silence
from tests.fakes import FakeHook, World, a_run, an_order, make_rule
from tests.plain import Heard, PlainRule, PlainRun

LIVES, LENGTH = 80, 100
RULES = (
    make_rule("lag", warn="> 2s", pause="> 5s for 3s", resume="< 3s for 4s"),
    make_rule("queue", pause="", cancel=">= 3s", resume="< 1s for 2s", no_data="hold"),
    make_rule("errors", pause="> 1s for 4s", rollback="> 5s for 3s", resume="<= 1s for 3s"),
)
BOUNDS = Bounds(Flap(2, 120.0), shortest_pause=5.0)


class Life:
    """One guard and one run, both told the same."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.world = World(*RULES, hook=FakeHook(), bounds=BOUNDS)
        self.world.runs = [a_run()]
        self.plain = {rule.name: PlainRule(rule) for rule in RULES}
        self.heard: dict[str, Heard] = {}
        self.run = PlainRun()

    def _in(self, times: int) -> bool:
        return self.chance.randrange(times) == 0

    def _turn(self, rule: Rule) -> None:
        """What a sensor says from now on; a rollback ends a life, so what leads to one is rare."""
        worst = 9.0 if rule.rollback is None or self._in(4) else 4.0
        silence = Silence(rule.sensor, "no answer", self.world.now + 1.0)
        self.world.values[rule.sensor] = self.chance.choice([*5 * [0.0], 2.5, 4.0, worst, None, silence])

    def step(self) -> Phase:
        """A second passes."""
        world, now = self.world, self.world.now + 1.0
        for rule in RULES:
            if self._in(8):
                self._turn(rule)
            value = world.values[rule.sensor]
            if isinstance(value, Silence):
                self.heard[rule.name] = Heard(now, value.taken_at, None)
            elif value is not None:
                self.heard[rule.name] = Heard(now, now, value)
        if self._in(9):
            humans = [an_order("override"), an_order("mute", rule=FLAP_BREAKER)]
            world.orders = self.chance.choice([*6 * [[]], humans[:1], humans[1:]])
        applies = not self.run.applied and self.run.phase in {Phase.RUNNING, Phase.STRAINED} and self._in(4)
        world.runs = [a_run(rows_done=10)] if applies or self.run.applied else [a_run()]
        world.tick()
        self._plainly(now, applies=applies)
        return self.run.phase

    def _plainly(self, now: float, *, applies: bool) -> None:
        said = {name: plain.hear(now, self.heard.get(name)) for name, plain in self.plain.items()}
        kinds = {order.kind for order in self.world.orders}
        facts = Circumstances(
            self.world.wall, hook=True, bounds=BOUNDS, overridden="override" in kinds, pardoned="mute" in kinds
        )
        if applies:
            self.run.suspect(said)
            self.run.applied = True
        if self.run.step(said, facts, 1.0) is Phase.ROLLING_BACK:
            # It is made where the next reading is as bad; the hook takes no time here.
            self.world.orders, self.world.values["errors sensor"] = [], 9.0
            self.world.tick(2)
            self.run.phase = Phase.ABORTED


@pytest.mark.timeout(600)
def test_the_guard_goes_from_phase_to_phase_and_orders_as_the_plain_model_says() -> None:
    chance, seen = random.Random(1), set()  # noqa: S311 - the same steps each time
    for number in range(LIVES):
        life = Life(chance)
        for _ in range(LENGTH):
            phase = life.step()
            seen.add(phase)
            where = f"life {number}, {life.world.now} s"
            assert life.world.phases == {"m": phase.value}, where
            assert life.world.word() == ORDERS[phase].word, where
            if phase is Phase.ABORTED:
                break
        assert life.world.hook is not None
        assert len(life.world.hook.runs) == (life.run.phase is Phase.ABORTED)
    assert seen == {Phase.WAITING, Phase.RUNNING, Phase.STRAINED, Phase.PAUSED, Phase.ABORTED}
