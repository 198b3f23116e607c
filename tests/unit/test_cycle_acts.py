"""What cannot be taken back: when a queue is cleared or a run rolled back, in which order, and how often."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import pytest

from guard.errors import ServerError, Unreachable
from guard.model import EVERYONE, OperatorOrder, Phase, Reading, Severity, Silence, State
from guard.ports import CancelReport, Ended, HookOutcome, Leadership, Observation
from tests.fakes import WALL, FakeHook, World, a_run, a_session, an_order, make_rule

QUEUE = make_rule("queue", pause="", cancel="> 3s", resume="<= 0s for 5s")
ERRORS = make_rule("errors", pause="> 1s", rollback="> 5s for 2s", resume="< 1s for 5s")


def ended(run_id: int | None = 1, how: str = "cancelled", *, gone: bool = True, detail: str = "") -> Ended:
    return Ended(a_session(1000 + (run_id or 0), run_id), how, gone, detail)


def queued(**options: object) -> World:
    """A running migration, and then a queue behind it."""
    world = World(QUEUE, **options)  # type: ignore[arg-type]
    world.runs = [a_run()]
    world.tick()
    world.values["queue sensor"] = 4.0
    return world


def failing(hook: FakeHook | None = None, **options: object) -> World:
    """A running migration that has applied something, and then errors that call for its rollback."""
    world = World(ERRORS, hook=hook or FakeHook(), **options)
    world.runs = [a_run()]
    world.tick()
    world.runs = [a_run(rows_done=10)]
    world.tick()
    world.values["errors sensor"] = 6.0
    return world


def test_a_run_is_barred_before_its_rollback_begins_since_that_goes_on_without_the_guard() -> None:
    barred: list[tuple[int, str, str]] = []
    hook = FakeHook(before=lambda: barred.extend(e for p in world.signal.published for e in p.barred))
    world = failing(hook)
    world.tick(4)
    assert hook.runs
    assert [(run_id, name) for run_id, name, _ in barred] == [(1, "m")]
    assert barred[0][2].startswith("a rollback is due: errors 6 s > 5s for 2s")


# -- the queue ---------------------------------------------------------------------------------------------------------


def test_a_queue_is_cleared_in_the_step_that_saw_it_after_the_pause_was_published() -> None:
    world = queued()
    world.now += 1
    world.look()
    world.step()
    assert world.word() == "pause"
    assert world.canceller.cleared == []
    assert [(chore.kind, chore.key) for chore in world.chores] == [("queue", ("queue", None))]
    world.canceller.reports = [CancelReport((ended(),), queued=3, root="pid 7", leftovers=("drop index i",))]
    world.work()
    world.step()
    assert world.canceller.cleared == [("queue", False)]
    notice = world.journal.notices[-1]
    assert (notice.kind, notice.headline) == ("cancelled", "m cancelled, the queue behind it is released")
    assert notice.fields == {
        "queued behind it": "3",
        "root blocker": "pid 7",
        "left behind": "drop index i",
        "sessions": "pid 1001 (migrator, migration:m): cancelled",
    }


def test_a_queue_is_not_cleared_again_before_it_was_measured_again() -> None:
    world = queued()
    world.canceller.reports = [CancelReport((ended(),))]
    world.tick()
    for _ in range(20):
        world.now += 0.1
        world.step()
        world.work()
    assert len(world.canceller.cleared) == 1
    assert (world.guard.states["m", 1].cancels, world.word()) == (1, "pause")


def test_a_migration_that_comes_back_a_third_time_is_aborted() -> None:
    world = queued()
    world.canceller.reports = [CancelReport((ended(),))]
    world.tick(2)
    assert (len(world.canceller.cleared), world.word()) == (2, "pause")
    world.tick()
    assert (len(world.canceller.cleared), world.word()) == (3, "abort")
    world.tick(5)
    assert world.phases == {"m": "aborted"}


def test_a_third_queue_that_is_another_migrations_pauses_a_cancelled_one_and_does_not_abort_it() -> None:
    world = queued()
    world.canceller.reports = [CancelReport((ended(),))]
    world.tick(2)
    assert world.guard.states["m", 1].cancels == 2
    world.runs.append(a_run(2, "other"))
    other = world.runs[-1].session
    assert other is not None
    world.values["queue sensor"] = None
    for _ in range(2):
        world.guard.put(Observation((Reading("queue sensor", 4.0, world.now, caused_by=frozenset({other.pid})),)))
        world.tick()
    assert world.phases["m"] == "paused"
    world.values["queue sensor"] = 4.0  # and where nobody can tell whose it is, as before
    world.tick(2)
    assert world.phases["m"] == "aborted"


def come_back(world: World, run_id: int) -> None:
    """The run has failed by its cancel, and the migration begins another."""
    world.runs = [a_run(run_id - 1, outcome="failed", here=False), a_run(run_id)]
    world.canceller.reports = [CancelReport((ended(run_id),))]


def test_a_migration_that_comes_back_as_a_new_run_each_time_is_aborted_too() -> None:
    world = queued()
    world.canceller.reports = [CancelReport((ended(),))]
    world.tick()
    come_back(world, 2)
    world.tick()
    assert world.word() == "pause"
    come_back(world, 3)
    world.tick()
    assert (len(world.canceller.cleared), world.word()) == (3, "abort")


@pytest.mark.parametrize("how", ["later", "forgotten"])
def test_a_new_run_long_after_the_cancels_or_once_forgotten_begins_with_none(how: str) -> None:
    world = queued()
    world.canceller.reports = [CancelReport((ended(),))]
    world.tick(3)
    assert world.word() == "abort"
    world.values["queue sensor"] = 0.0
    if how == "forgotten":
        world.forgotten = [("m", 1)]
        world.tick()
    else:
        world.runs = []
        world.tick(601, by=60.1)
    world.runs = [a_run(2)]
    world.tick()
    assert world.guard.states["m", 2].cancels == 0


def test_who_stands_beside_a_queue_is_paused_but_never_counted_as_its_cause() -> None:
    world = queued()
    world.runs.append(a_run(2, "innocent"))
    world.canceller.reports = [CancelReport((ended(1),))]
    world.tick(2)
    assert len(world.canceller.cleared) == 2
    assert {name: state.cancels for (name, _), state in world.guard.states.items()} == {"m": 2, "innocent": 0}


def test_an_unregistered_migration_is_cancelled_too() -> None:
    world = World(QUEUE)
    world.strangers = [a_session(9)]
    world.tick()
    world.values["queue sensor"] = 4.0
    world.canceller.reports = [CancelReport((ended(None),))]
    world.tick()
    assert world.guard.states[EVERYONE, None].cancels == 1
    assert world.journal.notices[-1].headline.startswith("an unregistered migration cancelled")


def test_a_cancel_is_told_with_the_queue_as_its_reason_beside_a_run_that_only_soaks() -> None:
    world = World(QUEUE, soak={"*": 60.0})
    world.runs = [a_run()]
    world.tick()
    world.runs = [a_run(outcome="done", here=False)]
    world.tick()
    world.strangers = [a_session(9)]
    world.values["queue sensor"] = 4.0
    world.canceller.reports = [CancelReport((ended(None),))]
    world.tick()
    told = world.journal.notices[-1]
    assert told.kind == "cancelled"
    assert told.because.startswith("queue 4 s > 3s")


def test_who_did_not_yield_to_a_cancel_is_terminated() -> None:
    world = queued()
    world.canceller.reports = [CancelReport((ended(gone=False),)), CancelReport((ended(how="terminated"),))]
    world.tick()
    world.step()
    assert world.canceller.cleared == [("queue", False), ("queue", True)]
    assert world.journal.notices[-1].headline == "m terminated, the queue behind it is released"


def test_one_session_that_is_left_is_not_told_as_a_release() -> None:
    world = queued()
    refused = ended(2, "refused", gone=False, detail="it is a superuser's")
    world.canceller.reports = [CancelReport((refused, ended()))]
    world.tick()
    world.step()
    notice = world.journal.notices[-1]
    assert (notice.kind, notice.severity) == ("cancel_failed", Severity.CRITICAL)
    assert notice.headline == "m could not be cancelled: refused it is a superuser's"


def test_a_cancel_is_told_although_the_second_attempt_failed() -> None:
    world = queued()
    world.canceller.reports = [CancelReport((ended(gone=False),)), Unreachable("the server is gone")]
    world.tick()
    world.step()
    notice = world.journal.notices[-1]
    assert notice.headline == "m could not be cancelled: cancelled it could not be done: the server is gone"
    assert world.guard.states["m", 1].cancels == 1


def test_a_canceller_that_cannot_act_is_told_once_and_tried_at_each_look() -> None:
    world = queued()
    world.canceller.reports = [ServerError("no connection")]
    world.tick(5)
    assert len(world.canceller.cleared) == 5
    assert world.told().count("cancel_failed") == 1
    assert world.guard.states["m", 1].cancels == 0


def test_what_is_left_to_finish_is_told_once_with_what_waits_before_it_and_counts_as_no_cancel() -> None:
    world = queued()
    spared = ("CREATE INDEX CONCURRENTLY of session 7 (migrator, x)",)
    world.canceller.reports = [CancelReport(queued=3, spared=spared), CancelReport(spared=spared, root="session 9")]
    world.tick(4)
    assert world.told().count("let_finish") == 1
    notice = next(notice for notice in world.journal.notices if notice.kind == "let_finish")
    assert notice.headline == f"m is left to finish although others wait: {spared[0]}"
    assert notice.severity is Severity.WARNING
    assert world.guard.states["m", 1].cancels == 0


def test_a_queue_that_was_gone_when_looked_at_again_is_no_news() -> None:
    world = queued()
    world.canceller.reports = [CancelReport(nothing_because="looked again: 1, not > 3")]
    world.tick(2)
    assert world.told() == ["started", "paused"]


def test_who_has_moved_on_or_begun_a_fence_before_the_cancel_is_not_told_as_cancelled() -> None:
    world = queued()
    world.canceller.reports = [CancelReport((ended(how="already gone"),), queued=3)]
    world.tick()
    assert "cancelled" not in (*world.told(), *world.events())
    assert world.guard.states["m", 1].cancels == 0
    world.canceller.reports = [CancelReport((ended(how="already gone"), ended(2)), queued=3)]
    world.tick()
    assert world.told()[-1] == "cancelled"


def test_a_cancel_is_told_although_its_migration_left_meanwhile() -> None:
    world = queued()
    world.canceller.reports = [CancelReport((ended(),))]
    world.now += 1
    world.look()
    world.step()
    world.runs = [a_run(outcome="failed", here=False)]
    world.look()
    world.step()
    assert world.phases == {}
    world.work()
    world.step()
    assert world.told()[-2:] == ["ended", "cancelled"]
    assert world.phases == {}


def test_an_override_does_not_keep_a_queue_from_being_cleared() -> None:
    world = queued()
    world.orders = [an_order("override")]
    world.tick()
    assert world.canceller.cleared == [("queue", False)]


def test_no_act_follows_a_decision_that_could_not_be_published() -> None:
    world = queued()
    world.signal.fails = world.signal.lead_fails = Unreachable("gone")
    world.tick(5)
    assert (world.canceller.cleared, world.phases) == ([], {"m": "paused"})
    world.signal.fails = world.signal.lead_fails = None
    world.tick(1)
    assert world.canceller.cleared == [("queue", False)]


def test_an_act_that_fails_at_once_is_not_tried_as_fast_as_it_fails() -> None:
    world = queued()
    world.now += 1
    world.look()
    tried = 0
    for _ in range(30):
        world.now += 0.1
        world.step()
        tried += len(world.chores)
        for chore in world.chores:
            world.guard.done(chore, None)
        world.drop_chores()
    assert tried == 3


def test_a_queue_is_not_cleared_twice_at_the_same_time() -> None:
    world = queued()
    for _ in range(4):
        world.now += 1
        world.look()
        world.step()
    assert len(world.chores) == 1
    world.drop_chores()


# -- the rollback ------------------------------------------------------------------------------------------------------


def test_a_rollback_aborts_then_ends_the_sessions_then_claims_then_runs_the_hook_once() -> None:
    hook = FakeHook()
    world = failing(hook)
    seen: list[tuple[str, int, int]] = []
    hook.before = lambda: seen.append((world.word(), len(world.canceller.ended), len(world.signal.claims)))
    world.canceller.reports = [CancelReport((ended(),))]
    world.tick(10)
    assert seen == [("abort", 2, 1)]
    assert hook.runs[0]["migration"] == "m"
    assert world.signal.finished == [(1, "done", "exit 0 after 1 s")]
    assert (world.phases, world.word()) == ({"m": "aborted"}, "abort")
    assert world.told() == ["started", "paused", "rolling_back", "rolled_back"]
    assert world.signal.published[-1].barred == ()
    assert [entry[0] for publication in world.signal.published for entry in publication.barred] == [1, 1]


def test_what_an_ended_session_left_behind_is_told_with_the_rollback() -> None:
    world = failing()
    index, detach = "invalid index i: DROP INDEX CONCURRENTLY i;", "half detached"
    world.canceller.reports = [
        CancelReport((ended(gone=False),), leftovers=(index,)),
        CancelReport((ended(how="terminated"),), leftovers=(detach,)),
    ]
    world.tick(10)
    assert world.journal.notices[-1].kind == "rolled_back"
    assert world.journal.notices[-1].fields["hook"].endswith(f"had left behind: {index}; {detach}")


def test_a_session_that_stays_keeps_the_hook_from_running() -> None:
    world = failing()
    world.canceller.reports = [CancelReport((ended(gone=False, detail="it waits for a disk"),))]
    world.tick(4)
    assert world.canceller.ended == [(1, False), (1, True)]
    assert world.hook is not None
    assert (world.hook.runs, world.signal.claims) == ([], [])
    notice = world.journal.notices[-1]
    assert (notice.kind, notice.fields["hook"]) == (
        "rollback_failed",
        "the hook was not run: pid 1001 is still there (cancelled) it waits for a disk",
    )


def test_behind_a_pooler_no_session_is_proven_gone_so_the_hook_does_not_run() -> None:
    world = failing()
    world.runs = [a_run(rows_done=10, pooled=True)]
    world.tick(4)
    assert world.hook is not None
    assert world.hook.runs == []
    assert "pooler" in world.journal.notices[-1].fields["hook"]


def test_a_claim_that_is_not_certain_keeps_the_hook_from_running() -> None:
    world = failing()
    world.canceller.reports = [Unreachable("no answer")]
    world.tick(4)
    assert world.journal.notices[-1].fields["hook"] == "the hook was not run: no answer"


def test_a_hook_that_failed_is_told_with_its_output() -> None:
    world = failing(FakeHook(HookOutcome(False, "exit 1 after 2 s", "no such table")))
    world.tick(5)
    notice = world.journal.notices[-1]
    assert (notice.kind, notice.fields["output"]) == ("rollback_failed", "no such table")
    assert world.signal.finished == [(1, "failed", "exit 1 after 2 s")]


def test_the_outcome_is_told_although_the_database_cannot_be_written_any_more() -> None:
    hook = FakeHook()
    world = failing(hook)

    def cut() -> None:
        world.signal.fails = Unreachable("gone")

    hook.before = cut
    world.tick(4)
    notice = world.journal.notices[-1]
    assert notice.kind == "rolled_back"
    assert notice.fields["hook"] == "exit 0 after 1 s (not recorded in the database: gone)"


def test_a_rollback_without_a_second_candidate_only() -> None:
    world = failing()
    world.runs.append(a_run(2, "other"))
    world.values["errors sensor"] = 0.0
    world.tick(8)
    world.values["errors sensor"] = 6.0
    world.tick(5)
    assert world.hook is not None
    assert world.hook.runs == []
    assert world.phases == {"m": "paused", "other": "paused"}
    assert world.told().count("rollback_due") == 2


def test_a_breach_that_began_before_the_run_is_a_question_to_a_human() -> None:
    world = World(ERRORS, hook=FakeHook())
    world.values["errors sensor"] = 0.0
    world.runs = [a_run()]
    world.tick()
    world.values["errors sensor"] = 6.0
    world.tick(4)
    assert world.phases == {"m": "paused"}
    assert "has not applied anything yet" in world.journal.notices[-1].next_step
    assert world.journal.notices[-1].commands[0] == "/etc/rollback now"


def test_without_a_hook_a_human_is_asked() -> None:
    world = failing()
    world.hook = None
    world.guard.reconfigure(world.options, {})
    world.tick(4)
    assert world.told()[-1] == "rollback_due"
    assert "no rollback hook is configured" in world.journal.notices[-1].next_step


def test_silence_never_rolls_back() -> None:
    world = failing()
    world.tick()
    world.values["errors sensor"] = Silence("errors sensor", "no data", world.now)
    world.tick(60)
    assert world.phases == {"m": "paused"}
    assert (world.canceller.ended, world.canceller.cleared) == ([], [])


def rolling_back(hook: FakeHook, *, since: float = 0.0) -> World:
    """A guard that comes up after another was killed in the middle of a rollback, whose reason still holds."""
    world = World(ERRORS, hook=hook)
    world.values["errors sensor"] = 6.0
    world.now = 1000.0
    state = State("m", 1, Phase.ROLLING_BACK, "errors 6 s", WALL + 1000.0 - since, admitted=True)
    world.signal.leadership = Leadership(2, 9, (state,), 5)
    world.signal.claimed = True
    world.runs = [a_run()]
    return world


def test_a_restarted_guard_waits_for_the_hook_of_the_one_before_and_tells_how_it_ended() -> None:
    hook = FakeHook(started=frozenset({1}))
    world = rolling_back(hook)
    world.canceller.reports = [CancelReport((ended(),))]
    world.tick(5, by=0.1)
    assert (hook.runs, world.phases) == ([], {"m": "rolling back"})
    assert len(world.signal.claims) <= 6
    hook.known = HookOutcome(True, "exit 0 after 40 s")
    world.tick(3)
    assert (hook.runs, world.phases, world.told()) == ([], {"m": "aborted"}, ["rolled_back"])


def test_a_hook_whose_end_nobody_knows_is_a_question_to_a_human_and_never_run_again() -> None:
    hook = FakeHook(started=frozenset({1}))
    world = rolling_back(hook, since=60.0 + 121.0)
    world.tick(2)
    assert (hook.runs, world.phases, world.told()) == ([], {"m": "aborted"}, ["rollback_failed"])
    assert "the hook may have run" in world.journal.notices[-1].fields["hook"]


def test_a_clock_that_is_set_does_not_end_the_wait_for_a_hook_that_is_at_work() -> None:
    hook = FakeHook(started=frozenset({1}))
    world = rolling_back(hook)
    world.canceller.reports = [CancelReport((ended(),))]
    world.tick(5)
    world.clock_set_by = 7200.0
    world.tick(30)
    assert (world.phases, world.told()) == ({"m": "rolling back"}, [])
    hook.known = HookOutcome(True, "exit 0 after 40 s")
    world.tick(3)
    assert world.told() == ["rolled_back"]


def test_a_hook_that_was_claimed_and_never_started_is_a_question_to_a_human_within_half_a_minute() -> None:
    hook = FakeHook()
    world = rolling_back(hook)
    world.canceller.reports = [CancelReport((ended(),))]
    world.tick(19)
    assert world.phases == {"m": "rolling back"}
    world.tick(8)
    assert (hook.runs, world.phases, world.told()) == ([], {"m": "aborted"}, ["rollback_failed"])
    assert "died before it started the hook" in world.journal.notices[-1].fields["hook"]
    assert world.signal.finished[0][:2] == (1, "failed")


def test_no_rollback_goes_on_before_it_is_known_who_is_here() -> None:
    hook = FakeHook()
    world = rolling_back(hook)
    world.signal.claimed = False
    world.step()
    world.step()
    assert (world.chores, world.canceller.ended) == ([], [])
    world.tick()
    assert len(world.canceller.ended) == 1
    world.tick()
    assert len(world.signal.claims) == 1


def test_a_run_that_has_left_the_roster_is_rolled_back_all_the_same() -> None:
    world = rolling_back(FakeHook())
    world.signal.claimed, world.runs = False, []
    world.tick(2)
    assert world.signal.claims[0][0] == 1
    assert world.phases == {"m": "aborted"}


def test_an_unregistered_migration_is_never_rolled_back() -> None:
    hook = FakeHook()
    world = rolling_back(hook)
    state = dataclasses.replace(world.signal.leadership.states[0], migration=EVERYONE, run_id=None)
    world.signal.leadership = Leadership(2, 9, (state,), 5)
    world.tick(2)
    assert (hook.runs, hook.asked) == ([], [])
    assert "cannot be rolled back" in world.journal.notices[-1].fields["hook"]


@pytest.mark.parametrize("kind", ["way", "rollback"])
def test_the_result_of_a_run_that_a_human_has_closed_meanwhile_changes_nothing(kind: str) -> None:
    world = failing()
    world.tick(2 if kind == "way" else 3)
    world.now += 1
    world.look()
    world.step()
    assert [chore.kind for chore in world.chores] == [kind]
    world.guard.states.clear()
    told = len(world.told())
    world.work()
    world.step()
    assert [notice.kind for notice in world.journal.notices[told:]] == []


# -- observing ---------------------------------------------------------------------------------------------------------


def test_a_guard_that_observes_orders_nothing_and_acts_on_nothing() -> None:
    world = World(QUEUE, ERRORS, hook=FakeHook(), observing=True)
    world.runs = [a_run()]
    world.tick()
    world.runs = [a_run(rows_done=10)]
    world.tick()
    world.values["queue sensor"] = 4.0
    world.values["errors sensor"] = 6.0
    world.tick(20)
    assert {publication.mode for publication in world.signal.published} == {"observing"}
    assert {order.kind.word for publication in world.signal.published for order in publication.orders.values()} == {
        "proceed"
    }
    assert not any(publication.barred for publication in world.signal.published)
    assert (world.canceller.cleared, world.canceller.ended, world.signal.claims) == ([], [], [])
    assert [
        notice.headline.removesuffix(" (observe mode: nothing was ordered)") for notice in world.journal.notices
    ] == [
        "m would be let begin",
        "m would be paused",
        "m would be cancelled",
        "m would be rolled back",
    ]
    assert all(notice.commands == () for notice in world.journal.notices)
    report = [publication.report for publication in world.signal.published if publication.report][-1]
    assert [(run["phase"], run["order"]) for run in cast("Any", report["runs"])] == [("paused", "proceed")]


def test_what_was_only_imagined_is_not_found_by_a_guard_that_enforces() -> None:
    world = World(QUEUE, observing=True)
    world.runs = [a_run()]
    world.tick()
    world.orders = [an_order("abort")]
    world.tick(3)
    assert (world.phases, world.told().count("aborted")) == ({"m": "paused"}, 1)
    world.runs = [a_run(outcome="aborted", here=False)]
    world.tick()
    assert world.phases == {}


def test_a_rollback_in_the_soak_is_only_imagined_too() -> None:
    world = failing(observing=True, auto_rollback=True, soak={"m": 30.0})
    world.runs = [a_run(rows_done=10, outcome="done", here=False)]
    world.tick(6)
    assert world.phases == {"m": "soaking"}
    world.tick(30)
    assert world.phases == {}


@pytest.mark.parametrize("kind", ["override", "mute"])
def test_what_an_operator_suspends_never_leads_to_a_rollback(kind: str) -> None:
    world = failing()
    world.orders = [OperatorOrder(1, kind, EVERYONE, "ada", "known", WALL, rule="errors" if kind == "mute" else None)]
    world.tick(10)
    assert world.hook is not None
    assert (world.hook.runs, world.signal.claims) == ([], [])
