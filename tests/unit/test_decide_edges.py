"""Where one decision ends and the next begins: exact limits, and what a step remembers or forgets."""

from __future__ import annotations

import dataclasses

import pytest

from guard.decide.bounds import Bounds, Flap, must_stay, pardoned, paused_again
from guard.decide.decision import Decision, decide
from guard.decide.ladder import FORGIVEN_AFTER, Circumstances, breached_before, ran_for, why_no_rollback
from guard.decide.machine import diagram
from guard.judge.findings import find
from guard.model import Account, Ask, Finding, Level, Phase, State, Verdict

AT = 5000.0
WORDS = "as it was"


def asking(*asks: Ask, **more: object) -> Finding:
    """A verdict for each, measured throughout and of a rule of its own."""
    return find(
        dataclasses.replace(
            Verdict(f"rule {index}", Level.FINE, ask, f"rule {index} asks", well=ask < Ask.HOLD, settled=True),
            **{"measured": True, "since": 1.0, **more},  # type: ignore[arg-type]
        )
        for index, ask in enumerate(asks)
    )


def state(phase: Phase = Phase.RUNNING, **more: object) -> State:
    return dataclasses.replace(State("m", 1, phase, WORDS, AT - 100.0), **more)  # type: ignore[arg-type]


def decided(before: State, finding: Finding, **more: object) -> Decision:
    return decide(before, finding, Circumstances(wall=AT, epoch=7, **more))  # type: ignore[arg-type]


# -- what a step remembers ---------------------------------------------------------------------------------------------


def test_a_breach_from_before_the_first_batch_is_remembered_by_the_step_that_saw_it() -> None:
    early = decided(state(), asking(Ask.ROLLBACK, harms=True)).state
    assert early.breached_before == ("rule 0",)
    applied = dataclasses.replace(early, applied_since_wall=AT, well_before=("rule 0",))
    assert why_no_rollback(asking(Ask.ROLLBACK).verdicts[0], applied, Circumstances(wall=AT, hook=True)) == (
        "the breach began before the run first applied something"
    )
    assert breached_before(applied, asking(Ask.PROCEED, harms=None)) == ("rule 0",)
    assert breached_before(applied, asking(Ask.PROCEED, harms=False)) == ()


def test_a_new_phase_begins_with_nothing_of_the_pause_before() -> None:
    paused = state(
        Phase.PAUSED,
        effective=True,
        effective_since_wall=AT - 50,
        reminded=3,
        no_help=True,
        asked_human=True,
        cancels=2,
    )
    after = decided(paused, asking(Ask.PROCEED)).state
    assert after == state(
        since_wall=AT,
        because="all is well: rule 0 asks",
        cancels=2,
        epoch=7,
        account=Account(paused=100.0, longest=100.0),
    )
    ended = decided(dataclasses.replace(paused, stays="paused 3 times"), asking(Ask.PROCEED), aborted_by="no").state
    account = Account(over_wall=AT, paused=100.0, longest=100.0)
    assert ended == state(
        Phase.ABORTED, because="no", since_wall=AT, cancels=2, epoch=7, asked_human=True, account=account
    )


def test_the_time_at_work_is_summed_up_over_its_pieces_and_a_pause_is_none() -> None:
    paused = decided(state(ran=20.0), asking(Ask.PAUSE)).state
    assert paused.ran == 120.0
    assert ran_for(paused, AT + 1000) == 120.0
    assert ran_for(state(since_wall=AT - 0.25), AT) == 0.25
    assert ran_for(state(since_wall=AT + 60), AT) == 0.0  # a clock that was set back


@pytest.mark.parametrize(
    ("ask", "ran", "cancels"),
    [
        pytest.param(Ask.PAUSE, FORGIVEN_AFTER, 1, id="not yet at the limit"),
        pytest.param(Ask.PAUSE, FORGIVEN_AFTER + 1, 0, id="beyond it"),
        pytest.param(Ask.WARN, FORGIVEN_AFTER + 1, 1, id="what is no new pause forgives nothing"),
    ],
)
def test_earlier_cancels_are_forgotten_at_the_next_pause_after_the_limit(ask: Ask, ran: float, cancels: int) -> None:
    assert decided(state(ran=ran - 100.0, cancels=1), asking(ask)).state.cancels == cancels


def test_a_third_lock_queue_exactly_at_the_limit_is_one_too_many() -> None:
    assert decided(state(ran=FORGIVEN_AFTER - 100.0, cancels=2), asking(Ask.CANCEL)).state.phase is Phase.ABORTED
    assert decided(state(ran=FORGIVEN_AFTER - 99.0, cancels=2), asking(Ask.CANCEL)).state.phase is Phase.PAUSED


def test_a_rollback_that_may_not_fire_counts_as_the_lock_queue_beside_it_or_as_a_pause() -> None:
    often = state(cancels=2)
    assert decided(often, asking(Ask.ROLLBACK, Ask.CANCEL)).state.phase is Phase.ABORTED
    assert decided(often, asking(Ask.ROLLBACK, Ask.PROCEED)).state.phase is Phase.PAUSED


def test_a_human_is_asked_once_a_breach_and_anew_after_it_ran_again() -> None:
    due = asking(Ask.ROLLBACK)
    known = decided(state(asked_human=True), due)
    assert (known.state.phase, known.state.asked_human, known.ask_human) == (Phase.PAUSED, True, "")
    again = decided(known.state, asking(Ask.PROCEED))
    assert (again.state.phase, again.state.asked_human) == (Phase.RUNNING, False)
    assert decided(again.state, due).ask_human == "no rollback hook is configured"


def test_only_a_rollback_that_begins_remembers_by_which_rules() -> None:
    due = asking(Ask.ROLLBACK)
    begun = decided(ELIGIBLE, due, hook=True).state
    assert (begun.phase, begun.rollback_by) == (Phase.ROLLING_BACK, ("rule 0",))
    fenced = decided(ELIGIBLE, due, hook=True, fenced="cut-over").state
    assert (fenced.phase, fenced.rollback_by) == (Phase.PAUSED, ())


# -- the end -----------------------------------------------------------------------------------------------------------


def test_of_a_run_that_is_over_no_queue_is_cleared_and_a_short_soak_is_one() -> None:
    over = decided(state(), asking(Ask.CANCEL), outcome="failed")
    assert (over.state.phase, over.clear_queue) == (Phase.DONE, ())
    soaking = decided(state(), asking(Ask.CANCEL), outcome="done", soak=0.5)
    assert (soaking.state.phase, soaking.state.soak_until_wall) == (Phase.SOAKING, AT + 0.5)
    assert soaking.clear_queue == ("rule 0",)


# -- why no rollback fires, word by word -------------------------------------------------------------------------------

ELIGIBLE = state(well_before=("rule 0",), applied_since_wall=AT - 60.0)


@pytest.mark.parametrize(
    ("before", "more", "why"),
    [
        (ELIGIBLE, {}, ""),
        (ELIGIBLE, {"hook": False}, "no rollback hook is configured"),
        (
            dataclasses.replace(ELIGIBLE, run_id=None),
            {},
            "the migration is not registered, so it is not known when it began",
        ),
        (ELIGIBLE, {"overridden": True}, "an operator's override is in force"),
        (dataclasses.replace(ELIGIBLE, well_before=()), {}, "rule 0 was not known to be well before the run began"),
        (dataclasses.replace(ELIGIBLE, applied_since_wall=None), {}, "the run has not applied anything yet"),
        (ELIGIBLE, {"other_candidates": 2}, "2 other run(s) were at work, so the cause is not certain"),
        (ELIGIBLE, {"outcome": "failed"}, "the migration has ended, and auto_rollback is not set"),
    ],
)
def test_the_reason_why_a_rollback_does_not_fire_is_told(before: State, more: dict[str, object], why: str) -> None:
    facts = Circumstances(wall=AT, **{"hook": True, **more})  # type: ignore[arg-type]
    assert why_no_rollback(asking(Ask.ROLLBACK).verdicts[0], before, facts) == why


def test_a_breach_with_a_gap_fires_no_rollback() -> None:
    verdict = asking(Ask.ROLLBACK, since=None).verdicts[0]
    assert why_no_rollback(verdict, ELIGIBLE, Circumstances(wall=AT, hook=True)) == (
        "the breach was not measured throughout"
    )


# -- the flap breaker --------------------------------------------------------------------------------------------------

TWICE = Bounds(flap=Flap(2, 60.0))


@pytest.mark.parametrize(
    ("ago", "stays"),
    [
        pytest.param(0.0, True, id="at the same moment"),
        pytest.param(0.5, True, id="a moment ago"),
        pytest.param(59.5, True, id="just within the time"),
        pytest.param(60.0, False, id="exactly as long ago as the time"),
        pytest.param(-0.5, False, id="by a clock that was set back"),
    ],
)
def test_earlier_pauses_count_within_the_time_of_the_breaker(ago: float, stays: bool) -> None:
    after = paused_again(state(Phase.PAUSED, pauses=(AT - ago,)), AT, TWICE)
    assert bool(after.stays) is stays
    assert after.pauses == ((AT - ago, AT) if stays else (AT,))


def test_a_pardon_forgets_the_pauses_and_what_was_said_of_them() -> None:
    stays = paused_again(state(Phase.PAUSED, pauses=(AT - 1,)), AT, TWICE)
    assert stays.because == f"{WORDS}; paused 2 times in 1 min, so it stays paused until `migration-guard resume m`"
    plain = state(Phase.PAUSED)
    assert pardoned(stays) == pardoned(state(Phase.PAUSED, pauses=(AT - 1,))) == pardoned(plain) == plain
    assert pardoned(dataclasses.replace(stays, pauses=())) == plain


@pytest.mark.parametrize(
    ("ago", "stays"), [(0.0, True), (0.5, True), (29.5, True), (30.0, False), (-0.5, False)], ids=str
)
def test_a_pause_lasts_at_least_as_long_as_the_shortest(ago: float, stays: bool) -> None:
    assert must_stay(state(Phase.PAUSED, since_wall=AT - ago), AT, Bounds(shortest_pause=30.0)) is stays
    assert must_stay(state(Phase.PAUSED, since_wall=AT - 1000, stays="paused 2 times"), AT, Bounds()) is True


def test_the_diagram_names_every_way_from_one_phase_to_another() -> None:
    assert "    running --> paused: a breach, a lock queue" in diagram().splitlines()
