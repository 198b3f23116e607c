"""What a guard makes of a work that another one left behind, or that it was itself kept from for a while."""

from __future__ import annotations

import pytest

from guard.cycle.chores import BEGINS_WITHIN
from guard.errors import Unreachable
from guard.model import Phase, Silence, State
from guard.ports import HookOutcome, Leadership
from tests.fakes import WALL, FakeHook, World, a_run, at_once, make_rule

LAG = make_rule("lag", pause="> 5s", resume="< 2s for 10s")
HELD = make_rule("held", pause="> 5s", resume="< 2s for 10s", no_data="hold")
IGNORED = make_rule("ignored", pause="> 5s", resume="< 2s for 10s", no_data="ignore")
ERRORS = make_rule("errors", pause="> 1s", rollback="> 5s for 2s", resume="< 1s for 5s")
OTHERS = make_rule("of others", pause="> 5s", migrations=("another",))


def taken_up(*rules: object, phase: Phase = Phase.RUNNING) -> World:
    """A guard that has just come up; the run of the one before is still there, and nothing was read yet."""
    world = World(*rules, hook=FakeHook())  # type: ignore[arg-type]
    world.now = 1000.0
    state = State("m", 1, phase, "was well", WALL + 990.0, epoch=9, admitted=True)
    world.signal.leadership = Leadership(2, 9, (state,), 5, "one", "db1 (timeline 1)")
    world.runs = [a_run()]
    for sensor in world.values:
        world.values[sensor] = None
    return world


@pytest.mark.fault(1)
@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.STRAINED])
def test_a_run_that_is_taken_up_at_work_waits_for_the_first_answer_of_every_source(phase: Phase) -> None:
    world = taken_up(LAG, HELD, IGNORED, OTHERS, phase=phase)
    world.tick(2)
    assert world.word() == "pause"
    world.values["lag sensor"] = 0.0
    world.tick()
    assert world.word() == "pause"
    world.values["held sensor"] = Silence("held sensor", "its server is down", world.now)
    world.tick()
    assert (world.word(), world.phases) == ("proceed", {"m": phase.value})
    assert world.told() == []


@pytest.mark.fault(1)
def test_a_breach_that_began_while_no_guard_looked_lets_no_batch_through() -> None:
    world = taken_up(LAG)
    world.tick()
    world.values["lag sensor"] = 9.0
    world.tick()
    assert world.phases == {"m": "paused"}
    assert {p.orders["m"].kind.word for p in world.signal.published if p.orders} == {"pause"}


@pytest.mark.fault(19)
def test_on_a_new_primary_nobody_goes_on_by_what_was_read_on_the_old_one() -> None:
    world = taken_up(LAG)
    world.values["lag sensor"] = 0.0
    world.tick(2)
    assert world.word() == "proceed"
    world.signal.leadership = Leadership(3, 9, (), 5, "two", "db2 (timeline 2)")
    world.signal.usable = False
    world.step()
    world.signal.usable = True
    assert world.word() == "pause"
    world.tick()
    assert world.word() == "proceed"


@pytest.mark.fault(17)
def test_a_connection_that_broke_for_a_moment_makes_nobody_wait_anew() -> None:
    world = taken_up(LAG)
    world.values["lag sensor"] = 0.0
    world.tick(2)
    world.signal.usable = False
    world.now += 1.0
    world.step()
    world.signal.usable = True
    assert (world.word(), world.signal.led) == ("proceed", 2)


@pytest.mark.fault(19)
def test_a_number_that_a_lost_primary_gave_last_may_come_again_and_is_met_as_a_new_run() -> None:
    world = taken_up(LAG)
    world.values["lag sensor"] = 0.0
    world.tick(2)
    world.runs = []
    world.tick(5)
    assert world.phases == {}
    world.signal.leadership = Leadership(3, 9, (), 5, "two", "db2 (timeline 2)")
    world.signal.usable = False
    world.step()
    world.signal.usable = True
    world.runs = [a_run(1, "another")]
    world.tick(2)
    assert (world.phases, world.word("another")) == ({"another": "running"}, "proceed")


@pytest.mark.fault(56)
def test_the_end_of_a_hook_is_told_however_long_no_guard_was_there() -> None:
    world = taken_up(LAG, phase=Phase.ROLLING_BACK)
    assert world.hook is not None
    world.now += 86_400.0
    world.hook.known = HookOutcome(True, "exit 0 after 40 s")
    world.tick(2)
    assert (world.told(), world.signal.finished) == (["rolled_back"], [(1, "done", "exit 0 after 40 s")])


@pytest.mark.fault(5)
@pytest.mark.parametrize("late", [False, True])
def test_a_rollback_that_could_not_begin_within_a_minute_is_a_question_to_a_human(*, late: bool) -> None:
    world = taken_up(ERRORS, phase=Phase.ROLLING_BACK)
    assert world.hook is not None
    world.values["errors sensor"] = 6.0
    world.now += BEGINS_WITHIN - 12.0 + 4.0 * late
    world.tick(2)
    assert len(world.hook.runs) == len(world.signal.claims) == (not late)
    assert world.told() == ["rollback_failed" if late else "rolled_back"]
    assert ("not started: it has been due for" in world.journal.notices[-1].fields["hook"]) is late


def test_a_hook_that_was_taken_out_of_the_file_meanwhile_is_told_as_such() -> None:
    world = taken_up(LAG, phase=Phase.ROLLING_BACK)
    world.guard.reconfigure(world.options, {})
    world.tick(3)
    assert world.phases == {"m": "aborted"}
    assert "no rollback hook is configured any more" in world.journal.notices[-1].fields["hook"]


@pytest.mark.fault(17, 20)
@pytest.mark.parametrize("known", [True, False])
def test_a_guard_that_comes_up_and_cannot_lead_says_so_once_and_soon_where_runs_are_known(*, known: bool) -> None:
    world = World(LAG)
    state = State("m", 1, Phase.PAUSED, "lag", WALL, epoch=9, admitted=True)
    world.journal.kept = (state,) if known else ()
    world.signal.lead_fails = Unreachable("signal: no connection")

    def nobody_is_seen(seconds: float) -> list[str]:
        for _ in range(int(seconds)):
            world.now += 1.0
            at_once(world.guard.lead_again(world.now, world.wall))
            world.step()
        return world.told()

    assert nobody_is_seen(5 if known else 58) == (["cannot_signal"] if known else [])
    assert nobody_is_seen(300) == ["cannot_signal"]
    assert world.journal.kept == ((state,) if known else ())
    world.signal.lead_fails, world.runs = None, [a_run()]
    world.tick(7)
    assert world.told()[:2] == ["cannot_signal", "can_signal"]
