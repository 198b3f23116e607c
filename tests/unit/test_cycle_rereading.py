"""A rollback is made only where its reason is read once more when the run's sessions are gone."""

from __future__ import annotations

import dataclasses
import math

import pytest

from guard.errors import Unreachable
from guard.model import Phase, Reading, Silence
from guard.ports import CancelReport, Ended, Observation
from tests.fakes import FakeHook, World, a_run, a_session, an_order, make_rule

ERRORS = make_rule("errors", pause="> 1s", rollback="> 5s for 2s", resume="< 1s for 5s")
LATENCY = make_rule("latency", pause="> 1s", rollback="> 5s for 60s", resume="< 1s for 5s", no_data="ignore")


def due(*more: object) -> World:
    """A rollback has fallen due and its sessions are gone; nothing was read since."""
    world = World(ERRORS, *more, hook=FakeHook())  # type: ignore[arg-type]
    world.runs = [a_run()]
    world.tick()
    world.runs = [a_run(rows_done=10)]
    world.tick()
    world.values["errors sensor"] = 6.0
    world.tick(3)
    assert (world.phases, len(world.canceller.ended)) == ({"m": "rolling back"}, 1)
    return world


def claims_and_hooks(world: World) -> tuple[int, int]:
    assert world.hook is not None
    return len(world.signal.claims), len(world.hook.runs)


def test_what_is_as_bad_as_before_by_the_next_reading_is_rolled_back() -> None:
    world = due()
    assert claims_and_hooks(world) == (0, 0)
    world.tick()
    assert (claims_and_hooks(world), world.phases, world.told()[-1]) == ((1, 1), {"m": "aborted"}, "rolled_back")


def test_what_is_over_by_then_is_not_rolled_back_and_a_human_is_told_with_the_command() -> None:
    world = due()
    world.values["errors sensor"] = 4.0
    world.tick(20)
    assert (claims_and_hooks(world), world.phases) == ((0, 0), {"m": "aborted"})
    assert world.told()[-2:] == ["rolling_back", "rollback_withheld"]
    notice = world.journal.notices[-1]
    assert notice.headline == "m is not rolled back after all"
    assert notice.because.startswith("read again when its sessions were gone: errors 4 s > 1s")
    assert notice.commands[0] == "/etc/rollback now"
    assert world.signal.finished[0][:2] == (1, "withheld")
    world.values["errors sensor"] = 6.0
    world.tick(20)
    assert claims_and_hooks(world) == (0, 0)


@pytest.mark.parametrize("comes_back", [True, False])
@pytest.mark.parametrize("unread", ["hangs", "silent", "infinite"])
def test_what_cannot_be_read_again_is_waited_for_and_given_up_in_the_end(unread: str, *, comes_back: bool) -> None:
    world = due()
    silence = Silence("errors sensor", "no answer", world.now + 1.0)
    world.values["errors sensor"] = {"hangs": None, "silent": silence, "infinite": math.inf}[unread]
    world.tick(30)
    assert (claims_and_hooks(world), world.phases) == ((0, 0), {"m": "rolling back"})
    if comes_back:
        world.values["errors sensor"] = 6.0
    world.tick(32)
    assert world.phases == {"m": "aborted"}
    assert claims_and_hooks(world) == ((1, 1) if comes_back else (0, 0))
    assert world.told()[-1] == ("rolled_back" if comes_back else "rollback_failed")
    given_up = "not started: it has been due for" in world.journal.notices[-1].fields["hook"]
    assert given_up is not comes_back


def test_a_new_reading_that_has_grown_old_before_it_was_judged_is_none() -> None:
    world = due()
    world.now += 1
    world.look()
    world.now += ERRORS.stale_after
    world.step()
    assert (world.chores, world.phases) == ([], {"m": "rolling back"})


def test_an_answer_that_was_asked_for_while_the_sessions_were_there_is_no_new_reading() -> None:
    world = World(ERRORS, hook=FakeHook())
    world.runs = [a_run()]
    world.tick()
    world.runs = [a_run(rows_done=10)]
    world.tick()
    world.values["errors sensor"] = 6.0
    world.tick(2)
    world.now += 1
    world.look()
    world.step()
    assert world.phases == {"m": "rolling back"}
    asked = world.now + 0.5
    world.now += 1
    world.work()  # the sessions are gone
    world.step()
    world.guard.put(Observation((Reading("errors sensor", 6.0, asked),)))
    world.now += 0.5
    world.step()
    assert world.chores == []
    world.guard.put(Observation((Reading("errors sensor", 4.0, world.now),)))
    world.step()
    world.work()
    world.step()
    assert (claims_and_hooks(world), world.told()[-1]) == ((0, 0), "rollback_withheld")


@pytest.mark.parametrize("trouble", ["a session is back", "no answer"])
def test_whose_sessions_cannot_be_ended_once_more_or_claimed_is_not_rolled_back(trouble: str) -> None:
    world = due()
    if trouble == "no answer":
        world.canceller.reports = [Unreachable("no answer")]
    else:
        back = Ended(a_session(7, 1), "terminated", gone=False, detail="a session is back")
        world.canceller.reports = [CancelReport((back,))]
    world.tick()
    assert (claims_and_hooks(world), world.told()[-1]) == ((0, 0), "rollback_failed")
    assert world.journal.notices[-1].fields["hook"].startswith("the hook was not run: ")
    assert world.journal.notices[-1].fields["hook"].endswith(trouble)


def test_a_breach_of_another_rule_whose_time_is_not_up_takes_nobodys_place() -> None:
    world = due(LATENCY)
    assert world.guard.states["m", 1].rollback_by == ("errors",)
    world.values |= {"errors sensor": 0.0, "latency sensor": 9.0}
    world.tick(5)
    assert (claims_and_hooks(world), world.told()[-1]) == ((0, 0), "rollback_withheld")


def test_one_of_two_reasons_that_still_holds_is_enough() -> None:
    other = dataclasses.replace(ERRORS, name="other errors", sensor="other sensor")
    world = World(ERRORS, other, hook=FakeHook())
    world.runs = [a_run()]
    world.tick()
    world.runs = [a_run(rows_done=10)]
    world.tick()
    world.values |= {"errors sensor": 6.0, "other sensor": 6.0}
    world.tick(3)
    world.values["errors sensor"] = 0.0
    world.tick()
    assert claims_and_hooks(world) == (1, 1)


@pytest.mark.parametrize("how", ["override", "mute", "reload"])
def test_what_a_human_has_suspended_meanwhile_is_not_rolled_back(how: str) -> None:
    world = due()
    if how == "reload":
        quiet = dataclasses.replace(ERRORS, rollback=None)
        world.guard.reconfigure(dataclasses.replace(world.options, rules=(quiet,)), world.guard.hands.hooks)
    else:
        world.orders = [an_order(how, rule="errors" if how == "mute" else None)]
    world.tick(3)
    assert (claims_and_hooks(world), world.told()[-1]) == ((0, 0), "rollback_withheld")
    reason = "an operator's override is in force" if how == "override" else "taken out of the file, or muted"
    assert reason in world.journal.notices[-1].because


def test_a_guard_that_comes_up_in_between_reads_again_too_and_needs_no_history_for_it() -> None:
    for value, made in ((6.0, 1), (4.0, 0)):
        world = due()
        world.values["errors sensor"] = value
        world.new_guard()
        world.tick(3)
        assert (claims_and_hooks(world), world.phases) == ((made, made), {"m": Phase.ABORTED.value})
