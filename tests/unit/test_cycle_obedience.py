"""How a guard among fakes sees that a run keeps to its pause, or does not, and climbs the rungs that it may."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from guard.decide.bounds import Bounds
from guard.decide.obeying import RUNGS
from guard.errors import Unreachable
from guard.model import Fence, Session, Severity, Silence
from guard.ports import CancelReport, Ended, Observation
from tests.fakes import WALL, World, a_run, an_order, make_rule

LAG = make_rule(pause="> 5s", resume="< 2s for 3s")


def session(pid: int = 1001, state: str = "active", **more: Any) -> Session:
    return Session(pid, WALL, "migrator", "migration:m", state, 1, **more)


AT_WORK = session(writes=True)
WAITS_INSIDE = session(state="idle in transaction", in_state=2.5, writes=True, holds="changes and locks on t")
IDLE = session(state="idle", in_state=4.0)
ASLEEP = session(state="idle", in_state=1.0)


def ended(how: str = "cancelled", *, gone: bool = True, detail: str = "", **more: Any) -> CancelReport:
    return CancelReport(ended=(Ended(AT_WORK, how, gone=gone, detail=detail),), **more)


def paused(upto: str = "", *, doing: Session | None = AT_WORK, phase: str = "paused", **options: Any) -> World:
    """A run that is told to pause, as was seen just now, and does something all the same; its grace is 10 s."""
    rungs = RUNGS[: RUNGS.index(upto) + 1] if upto else ()
    world = World(LAG, bounds=Bounds(ignored=rungs), grace=10.0, **options)
    if phase == "waiting":
        world.values["lag sensor"] = 7.0
    world.runs = [a_run()]
    world.tick()
    world.values["lag sensor"] = 7.0
    do(world, doing)
    world.tick(2 if phase == "paused" else 1)
    assert world.phases == {"m": phase}
    return world


def do(world: World, *sessions: Session | None, **more: Any) -> None:
    """From now on the sessions of the run do this."""
    own, *members = sessions
    world.runs = [dataclasses.replace(a_run(**more), session=own, members=tuple(filter(None, members)))]


def acknowledge(world: World, *sessions: Session | None) -> None:
    do(world, *sessions, acknowledged_epoch=world.guard.states["m", 1].epoch)


def effective(world: World) -> bool:
    return world.guard.states["m", 1].effective


def notice(world: World, kind: str) -> Any:
    (found,) = [notice for notice in world.journal.notices if notice.kind == kind]
    return found


def test_what_is_acknowledged_counts_once_nothing_is_in_flight_and_the_resume_says_how_long_it_took() -> None:
    world = paused()
    acknowledge(world, AT_WORK)
    world.tick(2)
    assert not effective(world)
    assert world.guard._acting.obedience.in_flight == {"1": "pid 1001 (migrator, migration:m) is at work"}
    acknowledge(world, session(asks=True))
    world.tick()
    assert effective(world)
    assert world.events()[-1] == "effective"
    world.values["lag sensor"] = 0.0
    world.tick(12)
    assert notice(world, "resumed").fields["the pause was"] == "acknowledged after 2 s, effective after 4 s"


@pytest.mark.parametrize(
    ("doing", "counts"),
    [
        (session(writes=True), True),
        (session(at_work=1.5), True),
        (session(at_work=0.5), False),
        (session(asks=True, writes=True, at_work=9.0), False),
        (session(sleeps=True, at_work=9.0), False),
        (session(sleeps=True, writes=True), True),
        (session(state="idle in transaction", writes=True), True),
        (session(state="idle in transaction", holds="locks on t", in_state=1.5), True),
        (session(state="idle in transaction", in_state=1.5), False),
        (session(state="idle in transaction (aborted)", writes=True), False),
        (session(state="idle"), False),
    ],
)
def test_what_counts_as_in_flight(doing: Session, counts: bool) -> None:
    world = paused(doing=ASLEEP)
    acknowledge(world, IDLE, doing)
    world.tick(2)
    assert effective(world) is not counts
    world.tick(10)
    assert ("ignored" in world.told()) is (counts and "inside" not in doing.state)


@pytest.mark.parametrize(
    ("doing", "young"),
    [
        (session(at_work=0.2), True),
        (session(state="idle in transaction", in_state=0.2), True),
        (session(asks=True, at_work=0.2), False),
        (session(state="idle in transaction", in_state=1.2), False),
        (session(state="idle", in_state=0.1), False),
    ],
)
def test_that_the_lock_of_the_pause_is_had_proves_nothing_beside_a_statement_that_has_just_begun(
    doing: Session, young: bool
) -> None:
    world = paused(doing=ASLEEP)
    world.gate.had = frozenset({"m"})
    do(world, IDLE, doing)
    world.tick()
    assert effective(world) is not young
    acknowledge(world, IDLE, doing)
    world.tick()
    assert effective(world)


def test_one_that_never_acknowledges_counts_as_paused_while_it_does_nothing() -> None:
    world = paused(doing=ASLEEP)
    world.tick(10)
    assert not effective(world)
    do(world, IDLE)
    world.tick()
    assert effective(world)
    do(world, AT_WORK)
    world.tick(by=0.1)
    assert not effective(world)
    # Who asks is not told for ten seconds more that it holds.
    assert '"effective": false' in json.dumps(world.signal.published[-1].report)
    assert world.events().count("effective") == 1
    do(world, IDLE)
    world.tick()
    assert not effective(world)
    world.tick(3)
    assert effective(world)
    assert world.events().count("effective") == 1


def test_by_default_it_is_only_told_once_after_its_grace_with_what_can_be_done() -> None:
    world = paused()
    world.tick(9)
    assert "ignored" not in world.told()
    world.tick(60)
    told = notice(world, "ignored")
    assert told.headline == "m goes on although it is told to pause"
    assert "told to pause 11 s ago (lag" in told.because or "told to pause 10 s ago (lag" in told.because
    assert told.commands == ("select pg_cancel_backend(1001);", "migration-guard abort m --reason WHY")
    assert world.canceller.stopped == []


def test_each_rung_is_climbed_once_with_time_between_and_the_last_is_an_abort() -> None:
    world = paused("abort")
    stubborn = ended(gone=False, detail="and still at work 2 s later")
    world.canceller.reports = [stubborn, ended("terminated"), ended("terminated")]
    world.tick(9)
    assert world.canceller.stopped == []
    world.tick()
    assert world.canceller.stopped == [(1, False)]
    world.tick()
    assert world.canceller.stopped == [(1, False), (1, True)]
    world.tick()
    assert world.phases == {"m": "paused"}
    world.tick()
    assert world.phases == {"m": "aborted"}
    assert world.word() == "abort"
    world.tick(10)
    assert world.canceller.stopped == [(1, False), (1, True)]
    swallowed, done = (notice for notice in world.journal.notices if notice.kind == "stopped")
    assert swallowed.headline == "m was cancelled, since it did not pause, and is still at work"
    assert swallowed.next_step == "Its session is ended next."
    assert done.headline == "m terminated, since it did not pause"
    assert "told to pause" in done.because
    assert "was cancelled and terminated" in notice(world, "aborted").because


def test_who_yields_to_a_cancel_and_comes_back_has_two_seconds_until_the_next_rung() -> None:
    world = paused("terminate")
    world.canceller.reports = [ended(), ended("terminated")]
    world.tick(11)
    assert world.canceller.stopped == [(1, False)]
    world.tick(2)
    assert world.canceller.stopped == [(1, False), (1, True)]


def test_the_next_rung_is_not_taken_by_a_sight_from_before_the_last_one() -> None:
    world = paused("terminate")
    world.canceller.reports = [ended()]
    world.tick(10)
    assert world.canceller.stopped == [(1, False)]
    world.now += 2.5
    world.step()
    assert world.chores == []
    world.look()
    world.step()
    assert len(world.chores) == 1
    world.drop_chores()


def test_who_obeys_the_cancel_climbs_no_further() -> None:
    world = paused("abort")
    world.canceller.reports = [ended(leftovers=("invalid index public.i: DROP INDEX CONCURRENTLY public.i;",))]
    world.tick(10)
    do(world, IDLE)
    world.tick(30)
    assert world.canceller.stopped == [(1, False)]
    assert world.phases == {"m": "paused"}
    done = notice(world, "stopped")
    assert "57014" in done.next_step
    assert "IF NOT EXISTS" in done.next_step
    assert done.fields["left behind"].startswith("invalid index public.i")


def test_who_may_not_be_ended_is_told_of_once_and_not_tried_again() -> None:
    world = paused("terminate")
    world.canceller.reports = [ended("refused", gone=False, detail="it belongs to a superuser")]
    world.tick(60)
    assert world.canceller.stopped == [(1, False)]
    failed = notice(world, "cancel_failed")
    assert failed.headline == "m did not pause, and could not be ended: it belongs to a superuser"
    assert (failed.severity, failed.commands) == (Severity.CRITICAL, ("select pg_terminate_backend(1001);",))
    assert world.told().count("ignored") == 1


def test_where_the_guard_may_do_no_more_a_cancel_that_was_swallowed_is_told_as_that() -> None:
    world = paused("cancel")
    world.canceller.reports = [ended(gone=False)]
    world.tick(30)
    assert world.canceller.stopped == [(1, False)]
    assert notice(world, "cancel_failed").next_step.startswith("The guard may do no more.")
    assert notice(world, "ignored").next_step == "The guard did cancel it, and may do no more."


def test_who_had_moved_on_climbs_when_it_is_seen_again_and_a_server_that_is_away_is_asked_again() -> None:
    world = paused("cancel")
    world.canceller.reports = [CancelReport(), Unreachable("away"), ended("already gone"), ended()]
    world.tick(12)
    assert world.canceller.stopped == [(1, False)] * 2
    world.tick(20)
    assert world.canceller.stopped == [(1, False)] * 4
    assert world.told().count("stopped") == 1


def test_what_was_done_to_one_that_ended_at_once_is_told_all_the_same() -> None:
    world = paused("cancel")
    world.canceller.reports = [ended(spared=("VACUUM of session 8 (m, n)",))]
    while not world.chores:
        world.now += 1
        world.look()
        world.step()
    do(world, None, outcome="failed")
    world.look()
    world.step()
    assert world.phases == {}
    world.work()
    world.step()
    assert notice(world, "stopped").fields["left to finish"] == "VACUUM of session 8 (m, n)"


def test_one_paused_inside_a_transaction_is_told_at_once_and_ended_by_its_policy_alone() -> None:
    world = paused("cancel", doing=WAITS_INSIDE)
    told = notice(world, "paused_inside")
    assert told.headline == "m is paused inside a transaction"
    assert "has changes and locks on t" in told.because
    world.tick(60)
    assert world.canceller.stopped == []
    assert world.told().count("paused_inside") == 1
    strict = paused("terminate", doing=WAITS_INSIDE)
    strict.canceller.reports = [ended("terminated")]
    strict.tick(20)
    assert strict.canceller.stopped == [(1, True)]


@pytest.mark.parametrize("let_finish", [True, False])
def test_what_is_left_to_finish_is_told_once_and_climbs_nothing(let_finish: bool) -> None:
    world = paused("cancel", doing=session(at_work=9.0, gentle="CREATE INDEX CONCURRENTLY"), let_finish=let_finish)
    world.canceller.reports = [ended()]
    world.tick(30)
    assert world.told().count("let_finish") == (1 if let_finish else 0)
    assert world.canceller.stopped == ([] if let_finish else [(1, False)])
    assert not effective(world)


def test_a_run_behind_a_pooler_is_only_told_of_and_only_while_it_has_not_acknowledged() -> None:
    world = paused("abort", doing=ASLEEP)
    do(world, AT_WORK, pooled=True)
    world.tick(20)
    assert (world.canceller.stopped, world.told().count("ignored")) == ([], 1)
    assert notice(world, "ignored").next_step.startswith("Nothing of it is ended: it is behind a transaction pooler")
    do(world, AT_WORK, pooled=True, acknowledged_epoch=world.guard.states["m", 1].epoch)
    world.tick(2)
    assert effective(world)


@pytest.mark.parametrize("how", ["fence", "override"])
def test_the_grace_of_who_was_allowed_to_go_on_begins_when_that_is_over(how: str) -> None:
    world = paused("cancel")
    if how == "fence":
        do(world, AT_WORK, fence=Fence("cut-over", world.wall, world.wall + 20.0))
    else:
        world.orders = [an_order("override")]
    world.tick(19)
    assert world.canceller.stopped == []
    world.orders = []
    do(world, AT_WORK)
    world.tick(9)
    assert world.canceller.stopped == []
    world.canceller.reports = [ended()]
    world.tick(3)
    assert world.canceller.stopped == [(1, False)]


def test_what_nobody_sees_is_not_ended_and_does_not_count_as_paused() -> None:
    world = paused("abort")
    world.gate.had = frozenset({"m"})
    for _ in range(30):
        world.now += 1
        world.guard.put(Observation((Silence("roster", "no answer", world.now),)))
        world.step()
    assert (world.chores, "ignored" in world.told(), effective(world)) == ([], False, False)


def test_neither_a_clock_that_is_set_nor_a_restart_shortens_the_grace() -> None:
    world = paused("abort")
    world.clock_set_by = 7200.0
    world.tick(5)
    world.new_guard()
    world.tick(9)
    assert world.canceller.stopped == []
    world.canceller.reports = [ended()]
    world.tick(2)
    assert world.canceller.stopped == [(1, False)]


def test_a_rung_that_was_climbed_is_not_climbed_again_by_the_next_guard() -> None:
    world = paused("terminate")
    world.canceller.reports = [ended(gone=False, detail="still"), ended("terminated")]
    world.tick(10)
    world.new_guard()
    world.tick(20)
    assert world.canceller.stopped == [(1, False), (1, True)]


def test_one_that_was_told_to_wait_before_it_began_is_held_to_it_as_well() -> None:
    world = paused("cancel", phase="waiting")
    world.canceller.reports = [ended()]
    world.tick(12)
    assert world.canceller.stopped == [(1, False)]


def test_a_guard_that_only_observes_holds_nobody_to_a_pause() -> None:
    world = paused("abort", observing=True)
    world.tick(60)
    assert (world.canceller.stopped, "ignored" in world.told()) == ([], False)


def test_a_run_that_goes_on_in_time_is_forgotten_and_its_next_pause_has_a_grace_of_its_own() -> None:
    world = paused("cancel")
    world.tick(4)
    world.values["lag sensor"] = 0.0
    world.tick(5)
    assert world.phases == {"m": "running"}
    assert world.guard._acting.obedience.in_flight == {}
    world.values["lag sensor"] = 7.0
    world.tick(9)
    assert world.canceller.stopped == []
