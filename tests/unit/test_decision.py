"""One step of one run: what follows from its state and what the rules found."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.decide.decision import Decision, decide
from guard.decide.ladder import FORGIVEN_AFTER, Circumstances
from guard.judge.findings import find
from guard.model import EVERYONE, Ask, Finding, Level, Phase, State, Verdict

NOW, AT = 1000.0, 5000.0
LEVELS = {
    Ask.PROCEED: Level.FINE,
    Ask.WARN: Level.WARN,
    Ask.HOLD: Level.UNKNOWN,
    Ask.PAUSE: Level.PAUSE,
    Ask.CANCEL: Level.CANCEL,
    Ask.ROLLBACK: Level.ROLLBACK,
}


def verdict(ask: Ask, rule: str = "errors", **more: object) -> Verdict:
    said = Verdict(rule, LEVELS[ask], ask, f"{rule} asks to {ask.name}", well=ask < Ask.HOLD, settled=True)
    measured = {
        "measured": ask >= Ask.WARN,
        "since": NOW - 10.0 if ask >= Ask.WARN else None,
        "harms": ask is Ask.ROLLBACK,
    }
    return dataclasses.replace(said, **(measured | more))  # type: ignore[arg-type]


def found(*asks: Ask) -> Finding:
    return find(verdict(ask, f"rule {index}") for index, ask in enumerate(asks))


def state(phase: Phase = Phase.RUNNING, **more: object) -> State:
    return State("m", 1, phase, "as it was", AT - 100.0, **more)  # type: ignore[arg-type]


def facts(**more: object) -> Circumstances:
    return Circumstances(wall=AT, epoch=7, **more)  # type: ignore[arg-type]


def decided(before: State, finding: Finding, **more: object) -> Decision:
    return decide(before, finding, facts(**more))


ELIGIBLE = state(admitted=True, well_before=("errors",), applied_since_wall=AT - 60.0)
DUE = find([verdict(Ask.ROLLBACK)])


# -- starting, pausing, going on ---------------------------------------------------------------------------------------


def test_the_first_start_remembers_which_rules_a_reading_showed_to_be_well() -> None:
    finding = find(
        [
            verdict(Ask.PROCEED, "lag"),
            verdict(Ask.WARN, "slow"),
            dataclasses.replace(verdict(Ask.PROCEED, "ignored"), level=Level.UNKNOWN),
            verdict(Ask.PROCEED, "abstains", harms=None),
            verdict(Ask.PROCEED, "no warning", level=Level.UNKNOWN, taken_at=NOW),
            verdict(Ask.PROCEED, "no pause", level=Level.UNKNOWN, taken_at=NOW, since=NOW - 9.0),
            verdict(Ask.PROCEED, "harms already", harms=True),
        ]
    )
    after = decided(state(Phase.WAITING), finding).state
    assert (after.phase, after.admitted, after.well_before) == (Phase.STRAINED, True, ("lag", "no warning"))
    assert (after.since_wall, after.epoch) == (AT, 7)


def test_a_later_start_does_not_change_what_was_well_before() -> None:
    after = decided(state(Phase.PAUSED, admitted=True, well_before=("lag",)), found(Ask.PROCEED)).state
    assert (after.phase, after.well_before, after.asked_human) == (Phase.RUNNING, ("lag",), False)


def test_a_pause_carries_the_reason_unchanged_and_is_effective_once_acknowledged() -> None:
    paused = decided(state(), found(Ask.PAUSE))
    assert (paused.state.phase, paused.moved_from) == (Phase.PAUSED, Phase.RUNNING)
    assert paused.state.because == "rule 0 asks to PAUSE"
    assert not paused.state.effective
    seen = decided(paused.state, found(Ask.PAUSE), acknowledged=True)
    assert (seen.became_effective, seen.state.effective, seen.moved_from) == (True, True, None)
    assert not decided(seen.state, found(Ask.PAUSE), acknowledged=True).became_effective


# -- the end -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "soak", "phase"),
    [("done", 60.0, Phase.SOAKING), ("done", 0.0, Phase.DONE), ("failed", 60.0, Phase.DONE)],
)
def test_only_a_run_that_ended_well_soaks(outcome: str, soak: float, phase: Phase) -> None:
    after = decided(state(), found(Ask.PROCEED), outcome=outcome, soak=soak).state
    assert (after.phase, after.because) == (phase, f"the migration ended: {outcome}")
    assert after.soak_until_wall == (AT + 60.0 if phase is Phase.SOAKING else None)


def test_the_soak_ends_by_itself_even_under_an_operators_abort() -> None:
    soaking = state(Phase.SOAKING, soak_until_wall=AT)
    assert decided(dataclasses.replace(soaking, soak_until_wall=AT + 1), found(Ask.PROCEED)).moved_from is None
    over = decided(soaking, found(Ask.PAUSE), aborted_by="aborted by ada", outcome="done", gone=True).state
    assert (over.phase, over.because) == (Phase.DONE, "the soak is over")


def test_a_client_that_vanished_is_gone_and_an_unregistered_one_has_ended() -> None:
    after = decided(state(), found(Ask.PAUSE), gone=True).state
    assert (after.phase, after.because) == (Phase.DONE, "its session ended without saying how the migration went")
    stranger = State(EVERYONE, None, Phase.RUNNING, "seen", AT)
    assert decided(stranger, found(Ask.PROCEED), gone=True).state.because == "its sessions have ended"


def test_an_operators_abort_ends_a_run_but_not_one_that_is_done() -> None:
    after = decided(state(), found(Ask.PROCEED), aborted_by="aborted by ada: no", outcome="aborted", gone=True).state
    assert (after.phase, after.because) == (Phase.ABORTED, "aborted by ada: no")
    assert decided(state(), found(Ask.PROCEED), aborted_by="aborted by ada", outcome="done").state.phase is Phase.DONE


# -- the lock queue ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.DONE])
def test_a_lock_queue_is_cleared_whatever_else_is_ordered(phase: Phase) -> None:
    decision = decided(
        state(phase, soak_until_wall=AT + 1),
        found(Ask.CANCEL, Ask.PROCEED),
        overridden=True,
        aborted_by="aborted by ada",
    )
    assert decision.clear_queue == ("rule 0",)


def test_a_migration_that_comes_back_a_third_time_is_aborted_and_its_queue_cleared() -> None:
    second = decided(state(cancels=1), found(Ask.CANCEL))
    assert second.state.phase is Phase.PAUSED
    third = decided(state(cancels=2), found(Ask.CANCEL))
    assert (third.state.phase, third.clear_queue) == (Phase.ABORTED, ("rule 0",))
    assert third.state.because == "cancelled 2 times and came back: rule 0 asks to CANCEL"


@pytest.mark.parametrize(("pid", "phase"), [(7, Phase.ABORTED), (8, Phase.PAUSED), (None, Phase.PAUSED)])
def test_a_queue_behind_another_migration_is_not_held_against_one_that_was_cancelled(
    pid: int | None, phase: Phase
) -> None:
    others = find([verdict(Ask.CANCEL, caused_by=frozenset({6, 7})), verdict(Ask.PAUSE, caused_by=frozenset({8}))])
    assert decided(state(cancels=2), others, pid=pid).state.phase is phase


def test_a_long_time_without_a_cancel_is_forgiven() -> None:
    well_behaved = dataclasses.replace(state(cancels=2), since_wall=AT - FORGIVEN_AFTER - 1)
    after = decided(well_behaved, found(Ask.CANCEL)).state
    assert (after.phase, after.cancels) == (Phase.PAUSED, 0)


def test_unregistered_sessions_are_never_aborted_since_nobody_would_read_it() -> None:
    stranger = State(EVERYONE, None, Phase.RUNNING, "seen", AT - 1, cancels=9)
    assert decided(stranger, found(Ask.CANCEL)).state.phase is Phase.PAUSED


# -- the rollback ------------------------------------------------------------------------------------------------------


def test_a_rollback_fires_for_a_change_that_did_it() -> None:
    decision = decided(ELIGIBLE, DUE, hook=True)
    assert (decision.state.phase, decision.ask_human) == (Phase.ROLLING_BACK, "")
    assert decided(ELIGIBLE, DUE, hook=True, gone=True).state.phase is Phase.ROLLING_BACK


@pytest.mark.parametrize(
    ("before", "finding", "more", "why"),
    [
        (ELIGIBLE, DUE, {"hook": False}, "no rollback hook is configured"),
        (dataclasses.replace(ELIGIBLE, run_id=None), DUE, {}, "not registered"),
        (ELIGIBLE, DUE, {"overridden": True}, "override"),
        (ELIGIBLE, find([verdict(Ask.ROLLBACK, measured=False)]), {}, "not measured"),
        (ELIGIBLE, find([verdict(Ask.ROLLBACK, since=None)]), {}, "not measured"),
        (dataclasses.replace(ELIGIBLE, well_before=("lag",)), DUE, {}, "not known to be well"),
        (dataclasses.replace(ELIGIBLE, applied_since_wall=None), DUE, {}, "not applied anything"),
        (dataclasses.replace(ELIGIBLE, breached_before=("errors",)), DUE, {}, "began before"),
        (ELIGIBLE, DUE, {"other_candidates": 1}, "1 other run(s)"),
    ],
)
def test_a_rollback_that_may_not_fire_pauses_and_asks_a_human_once(
    before: State, finding: Finding, more: dict[str, object], why: str
) -> None:
    first = decided(before, finding, **{"hook": True, **more})
    assert why in first.ask_human
    assert (first.state.phase, first.state.asked_human) == (Phase.PAUSED, True)
    again = decided(first.state, finding, **{"hook": True, **more})
    assert (again.ask_human, again.state.phase) == ("", Phase.PAUSED)


def test_one_eligible_rule_is_enough_for_a_rollback() -> None:
    both = find([verdict(Ask.ROLLBACK), verdict(Ask.ROLLBACK, "another")])
    after = decided(ELIGIBLE, both, hook=True).state
    assert (after.phase, after.rollback_by) == (Phase.ROLLING_BACK, ("errors",))


def test_an_override_stops_the_rollback_but_not_the_cancel() -> None:
    both = find([verdict(Ask.ROLLBACK), verdict(Ask.CANCEL, "queue")])
    decision = decided(ELIGIBLE, both, hook=True, overridden=True)
    assert (decision.state.phase, decision.clear_queue) == (Phase.PAUSED, ("queue",))
    assert "override" in decision.ask_human


def test_in_the_soak_a_rollback_fires_only_where_the_file_says_so() -> None:
    soaking = dataclasses.replace(ELIGIBLE, phase=Phase.SOAKING, soak_until_wall=AT)
    asked = decided(soaking, DUE, hook=True, outcome="done")
    assert (asked.ask_human, asked.moved_from) == (
        "the migration has ended, and auto_rollback is not set",
        Phase.SOAKING,
    )
    during = dataclasses.replace(soaking, soak_until_wall=AT + 1)
    once = decided(during, DUE, hook=True, outcome="done")
    assert (once.state.phase, once.state.asked_human) == (Phase.SOAKING, True)
    assert decided(during, DUE, hook=True, auto_rollback=True).state.phase is Phase.ROLLING_BACK
    assert decided(soaking, DUE, hook=True, auto_rollback=True).state.phase is Phase.DONE


def test_a_run_that_fails_while_its_rollback_is_due_is_rolled_back_where_the_file_says_so() -> None:
    by_itself = decided(ELIGIBLE, DUE, hook=True, auto_rollback=True, outcome="failed")
    assert by_itself.state.phase is Phase.ROLLING_BACK
    asked = decided(ELIGIBLE, DUE, hook=True, outcome="failed")
    assert (asked.state.phase, asked.ask_human) == (
        Phase.DONE,
        "the migration has ended, and auto_rollback is not set",
    )


def test_a_run_that_failed_while_its_rollback_was_due_is_a_question_to_a_human() -> None:
    decision = decided(ELIGIBLE, DUE, hook=True, outcome="failed")
    assert (decision.state.phase, decision.ask_human) == (
        Phase.DONE,
        "the migration has ended, and auto_rollback is not set",
    )


@pytest.mark.parametrize("phase", [Phase.WAITING, Phase.ROLLING_BACK, Phase.ABORTED, Phase.DONE])
def test_where_nothing_can_be_rolled_back_nobody_is_asked(phase: Phase) -> None:
    decision = decided(state(phase), DUE)
    assert (decision.ask_human, decision.state) == ("", state(phase))


@pytest.mark.parametrize("how", [{"outcome": "failed"}, {"gone": True}])
def test_a_run_that_ends_before_it_began_ends_although_a_rollback_would_be_due(how: dict[str, object]) -> None:
    assert decided(state(Phase.WAITING), DUE, hook=True, auto_rollback=True, **how).state.phase is Phase.DONE


# -- properties --------------------------------------------------------------------------------------------------------

FINDINGS = st.lists(st.sampled_from(Ask), max_size=4).map(lambda asks: found(*asks))
STATES = st.builds(
    State,
    migration=st.just("m"),
    run_id=st.sampled_from([None, 1]),
    phase=st.sampled_from(Phase),
    because=st.just("as it was"),
    since_wall=st.floats(AT - 2000, AT),
    effective=st.booleans(),
    cancels=st.integers(0, 3),
    admitted=st.booleans(),
    well_before=st.sampled_from([(), ("rule 0", "rule 1")]),
    applied_since_wall=st.none() | st.floats(AT - 100, AT),
    ran=st.sampled_from([0.0, FORGIVEN_AFTER + 1]),
    breached_before=st.sampled_from([(), ("rule 0", "rule 1")]),
    asked_human=st.booleans(),
    soak_until_wall=st.none() | st.floats(AT - 10, AT + 10),
)
FACTS = st.builds(
    Circumstances,
    wall=st.just(AT),
    other_candidates=st.integers(0, 1),
    hook=st.booleans(),
    auto_rollback=st.booleans(),
    overridden=st.booleans(),
    aborted_by=st.sampled_from(["", "aborted by ada"]),
    outcome=st.sampled_from([None, "done", "failed", "aborted"]),
    gone=st.booleans(),
    soak=st.sampled_from([0.0, 60.0]),
    acknowledged=st.booleans(),
)
STARTED = {Phase.RUNNING, Phase.STRAINED}


@settings(max_examples=400, deadline=None)
@given(STATES, FINDINGS, FACTS)
def test_whatever_happens_the_promises_hold(before: State, finding: Finding, circumstances: Circumstances) -> None:
    decision = decide(before, finding, circumstances)
    after = decision.state
    # A run that stays in its phase keeps its reason and its beginning.
    if after.phase is before.phase:
        assert decision.moved_from is None
        assert (after.since_wall, after.cancels) == (before.since_wall, before.cancels)
        # Who waits for the beginning is told what for by now.
        assert after.because == before.because or before.phase is Phase.WAITING
    else:
        assert decision.moved_from is before.phase
    # A paused migration goes on only when every rule is well; one that never ran, when every rule has spoken.
    if after.phase in STARTED and before.phase not in STARTED:
        assert finding.ask <= Ask.WARN
        assert finding.well or before.phase is Phase.WAITING
        assert finding.settled or before.phase is Phase.PAUSED
    # Nothing destructive without a rule that asks for it.
    if after.phase is Phase.ROLLING_BACK is not before.phase:
        assert finding.ask is Ask.ROLLBACK
        assert not (circumstances.overridden)
        assert not (circumstances.other_candidates)
        assert before.run_id is not None
        assert before.applied_since_wall is not None
        assert any(v.rule not in before.breached_before for v in finding.asking(Ask.ROLLBACK))
    if decision.clear_queue:
        assert finding.asking(Ask.CANCEL)
    # Nothing but a human leads out of an ending.
    if before.phase in {Phase.ABORTED, Phase.DONE}:
        assert after == before
