"""The database has the last word on a rollback: a query decides, where there is one, and not the hook's exit code."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest

from guard.model import Phase, State
from guard.ports import HookOutcome, Leadership, Verifier
from tests.fakes import WALL, FakeHook, World, a_run, make_rule

ERRORS = make_rule("errors", pause="> 1s", rollback="> 5s for 2s", resume="< 1s for 5s")


@dataclass
class FakeVerifier:
    answer: str = ""
    asked: int = 0

    async def doubt(self) -> str:
        self.asked += 1
        return self.answer


def failing(hook: FakeHook, **verifiers: Verifier) -> World:
    """A run whose rollback is due, with queries by migration (`everybody` for `*`)."""
    world = World(ERRORS, hook=hook)
    by_name = {"*" if name == "everybody" else name: each for name, each in verifiers.items()}
    world.guard.reconfigure(
        world.options, {**world.guard.hands.hooks, **({"m": hook} if "m" in by_name else {})}, by_name
    )
    world.runs = [a_run()]
    world.tick()
    world.runs = [a_run(rows_done=10)]
    world.tick()
    world.values["errors sensor"] = 6.0
    return world


@pytest.mark.parametrize("whose", ["everybody", "m"])
def test_a_hook_that_says_0_while_the_query_does_not_say_true_is_told_as_unverified(whose: str) -> None:
    verifier = FakeVerifier("the verifying query returned false, not true")
    world = failing(FakeHook(), **{whose: verifier})
    world.tick(10)
    words = "exit 0 after 1 s, but the verifying query returned false, not true"
    assert (verifier.asked, world.signal.finished) == (1, [(1, "unverified", words)])
    assert world.told() == ["started", "paused", "rolling_back", "rollback_unverified"]
    notice = world.journal.notices[-1]
    assert (notice.fields["hook"], "human must look" in notice.next_step) == (words, True)
    assert world.phases == {"m": "aborted"}


def test_a_query_that_says_true_makes_it_done() -> None:
    verifier = FakeVerifier()
    world = failing(FakeHook(), everybody=verifier)
    world.tick(10)
    assert (verifier.asked, world.told()[-1]) == (1, "rolled_back")
    assert world.signal.finished == [(1, "done", "exit 0 after 1 s")]


def test_what_the_hook_itself_calls_a_failure_is_not_asked_about() -> None:
    verifier = FakeVerifier()
    world = failing(FakeHook(HookOutcome(False, "exit 1")), everybody=verifier)
    world.tick(10)
    assert (verifier.asked, world.told()[-1]) == (0, "rollback_failed")


def test_a_hook_of_its_own_is_not_judged_by_the_query_of_everybody_s() -> None:
    verifier = FakeVerifier("no")
    world = failing(FakeHook(), everybody=verifier)
    hook = FakeHook()
    world.guard.hands = dataclasses.replace(world.guard.hands, hooks={"m": hook})
    world.tick(10)
    assert (len(hook.runs), verifier.asked, world.told()[-1]) == (1, 0, "rolled_back")


def test_a_hook_of_a_pattern_is_run_and_judged_by_the_query_of_that_pattern() -> None:
    everybody_s, own, verifier = FakeHook(), FakeHook(), FakeVerifier("no")
    world = failing(everybody_s)
    hooks, verifiers = {"*": everybody_s, "m*": own, "mm*": everybody_s}, {"*": FakeVerifier(), "m*": verifier}
    world.guard.reconfigure(world.options, hooks, verifiers)
    world.tick(10)
    assert (len(own.runs), len(everybody_s.runs), verifier.asked) == (1, 0, 1)
    assert world.told()[-1] == "rollback_unverified"


def test_a_guard_that_was_restarted_meanwhile_asks_before_it_tells_the_end() -> None:
    world = World(ERRORS, hook=FakeHook(known=HookOutcome(True, "exit 0 after 40 s")))
    verifier = FakeVerifier("no")
    world.guard.reconfigure(world.options, world.guard.hands.hooks, {"*": verifier})
    state = State("m", 1, Phase.ROLLING_BACK, "errors 6 s", WALL + 100.0, admitted=True)
    world.signal.leadership = Leadership(2, 9, (state,), 5)
    world.signal.claimed, world.runs = True, [a_run()]
    world.tick(3)
    assert (verifier.asked, world.told()) == (1, ["rollback_unverified"])
