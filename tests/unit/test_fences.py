"""A fenced run is not cancelled and not rolled back; what is due waits, is told once, and follows after the fence."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.decide.decision import decide
from guard.decide.ladder import CANCELS_ALLOWED, fence_left
from guard.errors import Unreachable
from guard.judge.findings import find
from guard.model import Ask, Fence, Phase, Reading
from guard.ports import CancelReport, Ended, Observation
from tests.fakes import FakeHook, World, a_run, a_session, make_rule
from tests.unit.test_decision import DUE, ELIGIBLE, LEVELS, decided, facts, found, state, verdict

QUEUE = make_rule("queue", pause="", cancel="> 2s", resume="< 1s")
ERRORS = make_rule("errors", pause="> 1s", rollback="> 5s for 2s", resume="< 1s")
CLEARED = CancelReport((Ended(a_session(1001, 1), "cancelled", gone=True),), queued=3)


def at_work(*rules: object, **options: object) -> World:
    """A run that has begun and applied something."""
    world = World(*rules, **options)  # type: ignore[arg-type]
    world.canceller.reports = [CLEARED]
    world.runs = [a_run()]
    world.tick()
    world.runs = [a_run(rows_done=10)]
    world.tick()
    return world


def fence(world: World, seconds: float = 30.0, what: str = "cut-over") -> None:
    """The run says, now, that it must not be cancelled for so long."""
    declared = Fence(what, world.wall, world.wall + seconds)
    world.runs = [dataclasses.replace(world.runs[0], fence=declared)]


# -- deciding ----------------------------------------------------------------------------------------------------------


def test_a_queue_pauses_a_fenced_run_and_is_not_cleared() -> None:
    decision = decided(state(), find([verdict(Ask.CANCEL, "queue")]), fenced="cut-over")
    assert (decision.state.phase, decision.clear_queue, decision.held) == (Phase.PAUSED, (), ("queue",))


def test_a_cancel_that_is_due_for_another_run_is_not_told_of_a_fenced_one() -> None:
    others = find([verdict(Ask.CANCEL, "queue", caused_by=frozenset({8}))])
    assert decided(state(), others, fenced="cut-over", pid=7).held == ()
    assert decided(state(), others, fenced="cut-over", pid=8).held == ("queue",)


def test_a_rollback_that_may_fire_waits_as_a_pause_and_one_that_may_not_is_asked_of_a_human_all_the_same() -> None:
    waits = decided(ELIGIBLE, DUE, hook=True, fenced="cut-over")
    assert (waits.state.phase, waits.held, waits.ask_human) == (Phase.PAUSED, ("errors",), "")
    assert decided(waits.state, DUE, hook=True).state.phase is Phase.ROLLING_BACK
    asks = decided(ELIGIBLE, DUE, fenced="cut-over")
    assert (asks.state.phase, asks.held) == (Phase.PAUSED, ())
    assert "no rollback hook" in asks.ask_human


def test_a_third_queue_aborts_a_fenced_run_only_once_its_fence_is_over() -> None:
    often = state(cancels=CANCELS_ALLOWED)
    queue = find([verdict(Ask.CANCEL, "queue")])
    assert decided(often, queue, fenced="cut-over").state.phase is Phase.PAUSED
    assert decided(often, queue).state.phase is Phase.ABORTED


def test_an_operators_abort_is_an_order_and_waits_for_no_fence() -> None:
    assert decided(state(), found(Ask.PROCEED), fenced="cut-over", aborted_by="by ana").state.phase is Phase.ABORTED


def test_nothing_is_held_for_a_run_that_is_over_or_by_a_rollback_that_is_under_way() -> None:
    queue = find([verdict(Ask.CANCEL, "queue")])
    assert decided(state(), queue, fenced="cut-over", outcome="failed").held == ()
    assert decided(state(Phase.ROLLING_BACK), DUE, hook=True, fenced="cut-over").held == ()


@given(
    asks=st.lists(st.sampled_from(list(LEVELS)), max_size=4),
    phase=st.sampled_from(list(Phase)),
    hook=st.booleans(),
    cancels=st.integers(0, 3),
)
def test_no_reading_whatever_ends_a_fenced_runs_work(
    *, asks: list[Ask], phase: Phase, hook: bool, cancels: int
) -> None:
    before = dataclasses.replace(ELIGIBLE, phase=phase, cancels=cancels)
    rules = ("errors", "lag", "queue", "p99")
    finding = find(verdict(ask, rule) for ask, rule in zip(asks, rules, strict=False))
    decision = decide(before, finding, facts(hook=hook, fenced="cut-over"))
    assert decision.clear_queue == ()
    assert decision.state.phase is phase or decision.state.phase not in (Phase.ROLLING_BACK, Phase.ABORTED)


def test_a_fence_holds_until_its_time_by_the_servers_clock_and_not_longer() -> None:
    declared = Fence("cut-over", 100.0, 130.0)
    assert [fence_left(declared, at) for at in (100.0, 129.5, 130.0, 200.0)] == [30.0, 0.5, 0.0, 0.0]


@pytest.mark.fault(13)
def test_a_clock_that_is_set_back_makes_no_fence_hold_for_hours() -> None:
    declared = Fence("cut-over", 100.0, 130.0)
    assert [fence_left(declared, at) > 0 for at in (99.5, 99.0, 98.0, -3500.0)] == [True, False, False, False]


# -- the whole guard ---------------------------------------------------------------------------------------------------


def test_a_due_cancel_waits_for_the_end_of_the_fence_is_told_once_and_then_done() -> None:
    world = at_work(QUEUE)
    fence(world)
    world.values["queue sensor"] = 3.0
    world.tick(5)
    assert (world.word(), world.canceller.cleared) == ("pause", [])
    assert world.told() == ["started", "paused", "cancel_waits"]
    because = world.journal.notices[-1].because
    assert because.startswith("queue 3 s > 2s")
    assert because.endswith("fenced: cut-over, 29 s of 30 s left")
    world.runs = [dataclasses.replace(world.runs[0], fence=None)]
    world.tick()
    assert world.canceller.cleared == [("queue", False)]
    assert "cancelled" in world.told()


def test_a_fence_that_is_over_time_is_none_although_nobody_has_lifted_it() -> None:
    world = at_work(QUEUE)
    fence(world, 3.0)
    world.values["queue sensor"] = 3.0
    world.tick(2)
    assert world.canceller.cleared == []
    world.tick(2)
    assert world.canceller.cleared[:1] == [("queue", False)]


def test_a_roster_that_gets_old_prolongs_no_fence() -> None:
    world = at_work(QUEUE)
    fence(world, 3.0)
    world.values["queue sensor"] = 3.0
    world.tick(2)
    for _ in range(3):  # nobody can see who is here any more
        world.now += 1
        world.step()
        world.work()
    assert world.canceller.cleared[:1] == [("queue", False)]


def test_a_second_fence_is_told_of_again_and_one_of_a_dead_session_is_none() -> None:
    world = at_work(QUEUE)
    world.values["queue sensor"] = 3.0
    for what in ("first", "second"):
        fence(world, what=what)
        world.tick(2)
    assert world.told().count("cancel_waits") == 2
    world.runs = [dataclasses.replace(world.runs[0], session=None)]
    world.tick()
    assert world.canceller.cleared == [("queue", False)]


def test_a_rollback_waits_for_the_end_of_the_fence() -> None:
    world = at_work(ERRORS, hook=FakeHook())
    fence(world)
    world.values["errors sensor"] = 9.0
    world.tick(5)
    assert (world.phases, world.told()[-1]) == ({"m": "paused"}, "cancel_waits")
    world.runs = [dataclasses.replace(world.runs[0], fence=None)]
    world.now += 1
    world.look()
    world.step()
    assert world.phases == {"m": "rolling back"}
    world.drop_chores()


def test_a_rollback_that_was_decided_before_the_fence_was_seen_does_not_begin_in_it() -> None:
    world = at_work(ERRORS, hook=FakeHook())
    world.values["errors sensor"] = 9.0
    world.tick(2)
    world.signal.fails = Unreachable("the line is down")  # so nothing has begun yet
    world.now += 1
    world.guard.put(Observation((Reading("errors sensor", 9.0, world.now),)))
    world.step()
    assert world.phases == {"m": "rolling back"}
    world.signal.fails = None
    world.now += 1
    fence(world, 2.0)
    world.look()
    assert world.step().chores == ()
    world.now += 2
    world.look()
    assert world.step().chores != ()
    world.drop_chores()


def test_who_only_observes_tells_of_no_cancel_that_waits() -> None:
    world = at_work(QUEUE, observing=True)
    fence(world)
    world.values["queue sensor"] = 3.0
    world.tick(3)
    assert "cancel_waits" not in world.told()


def test_the_lock_of_the_pause_proves_nothing_of_a_fenced_run() -> None:
    world = at_work(QUEUE)
    fence(world)
    world.gate.had = frozenset({"m"})
    world.values["queue sensor"] = 3.0
    world.tick(3)
    assert "effective" not in world.events()
    world.runs = [dataclasses.replace(world.runs[0], fence=None)]
    world.tick(2)
    assert "effective" in world.events()


@pytest.mark.parametrize("fenced", [True, False])
def test_the_report_says_who_is_fenced_and_for_how_long_one_may_be(*, fenced: bool) -> None:
    world = at_work(QUEUE)
    if fenced:
        fence(world, 30.0)
    world.tick(12)
    report = next(p.report for p in reversed(world.signal.published) if p.report is not None)
    assert report["longest_fence"] == 60.0
    assert (report["fences"] != {}) is fenced
    if fenced:
        assert "cut-over" in str(report["fences"])
