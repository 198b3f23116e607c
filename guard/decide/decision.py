"""One step of one run: its state and what the rules found become its next state, what to do and what to tell.

Pure. The caller carries out the acts and publishes the order of the new phase; a state that is not published has not
happened for the migration.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from guard.decide.accounting import accounted
from guard.decide.bounds import must_stay, pardoned, paused_again
from guard.decide.checks import failed_checks, with_checks
from guard.decide.ladder import (
    FORGIVEN_AFTER,
    Circumstances,
    breached_before,
    came_back_too_often,
    held_by_fence,
    ran_for,
    why_no_rollback,
)
from guard.decide.machine import TABLE, Move, move_for
from guard.decide.obeying import ABORT, TERMINATE, Heed, heed, next_rung, why_aborted
from guard.model import Ask, Finding, Level, Phase, State, Verdict

_CANNOT_ROLL_BACK = (Phase.WAITING, Phase.ROLLING_BACK, Phase.ABORTED, Phase.DONE)
"""Phases in which a run has not begun, is being rolled back, or is over: a due rollback is no question there."""

UNHEARD = "it waits until each rule has been read"
"""Why a run that has just come may not begin yet."""
UNASKED = "it waits until the checks of its data have been answered"
"""The same, where each rule has been read."""


@dataclass(frozen=True, slots=True)
class Decision:
    state: State
    moved_from: Phase | None = None
    """The phase before, where it changed."""
    clear_queue: tuple[str, ...] = ()
    """Rules by which the migration holds up a queue."""
    ask_human: str = ""
    """A rollback is due and may not fire by itself: why."""
    due_because: str = ""
    """Why it is due, where a human is asked."""
    became_effective: bool = False
    held: tuple[str, ...] = ()
    """Rules whose cancel or rollback waits for the end of the section that the run is in."""
    to_verify: bool = False
    """The checks of its data are to be asked now: nothing else keeps it from beginning, or it has ended well."""
    rung: str = ""
    """What is to be done to its sessions since it does not keep to its pause (guard.decide.obeying)."""
    news: tuple[str, ...] = ()
    """What people are to be told of how it keeps to its pause."""


def decide(state: State, finding: Finding, facts: Circumstances) -> Decision:
    """Decide one step. `finding` speaks of the rules that concern this run only."""
    finding = with_checks(finding, state)
    if state.phase not in _CANNOT_ROLL_BACK:
        state = dataclasses.replace(state, breached_before=breached_before(state, finding))
    if facts.pardoned or facts.overridden:
        state = pardoned(state)
    refusal = _refusal(state, finding, facts)
    move = _move(state, finding, facts, refusal)
    phase = TABLE[state.phase, move]
    soaks = facts.outcome == "done" and (facts.soak > 0 or facts.unverified)
    if move is Move.ENDED and phase is Phase.SOAKING and not soaks:
        phase = Phase.DONE
    asks = bool(refusal) and not state.asked_human
    # Whatever becomes of the run: an aborted one in a lock queue does not read its order, and nothing overrides this.
    queues = () if phase is Phase.DONE or facts.fenced else tuple(v.rule for v in finding.asking(Ask.CANCEL))
    may_roll_back = not refusal and state.phase not in _CANNOT_ROLL_BACK
    held = () if phase is Phase.DONE else held_by_fence(state, finding, facts, may_roll_back=may_roll_back)
    stays = phase is state.phase
    kept = (
        _stay(state, finding, facts, asks=asks)
        if stays
        else Heed(_enter(state, phase, move, finding, facts=facts, asks=asks))
    )
    after = kept.state
    return Decision(
        after,
        None if stays else state.phase,
        queues,
        refusal if asks else "",
        finding.because if asks else "",
        kept.became_effective,
        held,
        _to_verify(after, finding, facts),
        kept.rung,
        kept.news,
    )


def _stay(state: State, finding: Finding, facts: Circumstances, *, asks: bool) -> Heed:
    """The state of a run that stays in its phase, and how it keeps to its pause there."""
    kept = heed(state, facts)
    overridden = state.account.overridden or (facts.overridden and state.phase is Phase.PAUSED)
    after = dataclasses.replace(
        kept.state,
        account=dataclasses.replace(state.account, overridden=overridden),
        because=_why_waiting(state, finding, facts),
        asked_human=state.asked_human or asks,
        # How its data were before it had to wait says little of how they are when it begins.
        before=() if state.phase is Phase.WAITING and finding.ask >= Ask.PAUSE else state.before,
    )
    return dataclasses.replace(kept, state=after)


def _to_verify(state: State, finding: Finding, facts: Circumstances) -> bool:
    if not facts.unverified or state.phase not in (Phase.WAITING, Phase.SOAKING):
        return False
    return state.phase is Phase.SOAKING or move_for(state.phase, finding) in (Move.CALM, Move.WARN)


def _why_waiting(state: State, finding: Finding, facts: Circumstances) -> str:
    """A run that has not begun is told which breach keeps it waiting, in the words of its beginning."""
    if state.phase is not Phase.WAITING:
        return state.because
    if finding.ask < Ask.PAUSE:
        return UNASKED if _to_verify(state, finding, facts) else UNHEARD
    return finding.because if state.because in (UNHEARD, UNASKED) else state.because


def _refusal(state: State, finding: Finding, facts: Circumstances) -> str:
    """Why a due rollback may not fire; empty where none is due or one of them may."""
    if finding.ask is not Ask.ROLLBACK or state.phase in _CANNOT_ROLL_BACK:
        return ""
    reasons = [why_no_rollback(verdict, state, facts) for verdict in finding.asking(Ask.ROLLBACK)]
    return "" if "" in reasons else reasons[0]


def _move(state: State, finding: Finding, facts: Circumstances, refusal: str) -> Move:
    move = move_for(state.phase, finding)
    if state.phase is Phase.WAITING and facts.unverified and move in (Move.CALM, Move.WARN):
        move = Move.HOLD
    if state.phase is Phase.PAUSED and move in (Move.CALM, Move.WARN) and must_stay(state, facts.wall, facts.bounds):
        move = Move.HOLD
    if move is Move.ROLLBACK and (refusal or facts.fenced):
        move = Move.CANCEL if finding.asking(Ask.CANCEL) else Move.PAUSE
    if state.phase is Phase.SOAKING:
        over = state.soak_until_wall is None or facts.wall >= state.soak_until_wall
        # Where there is no soak, its checks are all that it waits for, and they may ask for a rollback yet.
        waits = facts.unverified or (move is Move.ROLLBACK and bool(failed_checks(state)))
        return Move.SOAKED if over and not waits else move
    if facts.aborted_by and facts.outcome != "done":
        return Move.ABORT
    # Before a run has begun there is nothing to roll back: one that ends then ends, and does not wait for ever.
    back = move is Move.ROLLBACK and state.phase is not Phase.WAITING
    if facts.outcome is not None:
        # Where auto_rollback allows it, a run that failed while its rollback was due is rolled back all the same.
        return move if back else Move.ENDED
    if move is Move.CANCEL and not facts.fenced and came_back_too_often(state, finding, facts):
        return Move.ABORT
    if next_rung(state, facts) == ABORT:
        return Move.ABORT
    if facts.gone and not back:
        return Move.GONE
    return move


def _enter(state: State, phase: Phase, move: Move, finding: Finding, *, facts: Circumstances, asks: bool) -> State:
    starts = state.phase is Phase.WAITING and phase in (Phase.RUNNING, Phase.STRAINED)
    ran = ran_for(state, facts.wall)
    forgiven = move in (Move.PAUSE, Move.CANCEL) and ran > FORGIVEN_AFTER
    entered = dataclasses.replace(
        state,
        phase=phase,
        because=because_of(move, state, finding, facts),
        since_wall=facts.wall,
        effective=False,
        effective_since_wall=None,
        acknowledged_since_wall=None,
        broken=0,
        rungs=(),
        reminded=0,
        no_help=False,
        stays="",
        admitted=state.admitted or starts,
        well_before=_known_well(finding) if starts else state.well_before,
        cancels=0 if forgiven else state.cancels,
        ran=ran,
        asked_human=asks or (state.asked_human and phase not in (Phase.RUNNING, Phase.STRAINED)),
        rollback_by=_rollback_by(state, finding, facts) if phase is Phase.ROLLING_BACK else (),
        epoch=facts.epoch,
        soak_until_wall=facts.wall + facts.soak if phase is Phase.SOAKING else None,
        account=accounted(state, phase, finding, facts.wall),
    )
    return paused_again(entered, facts.wall, facts.bounds) if phase is Phase.PAUSED else entered


def _rollback_by(state: State, finding: Finding, facts: Circumstances) -> tuple[str, ...]:
    return tuple(v.rule for v in finding.asking(Ask.ROLLBACK) if not why_no_rollback(v, state, facts))


def _known_well(finding: Finding) -> tuple[str, ...]:
    """Rules that a fresh reading shows to be well; a silence that is ignored shows nothing, nor one that abstains."""
    calm = (v for v in finding.verdicts if v.ask is Ask.PROCEED and v.harms is False)
    return tuple(v.rule for v in calm if v.level is Level.FINE or _lacks_a_warning(v))


def _lacks_a_warning(verdict: Verdict) -> bool:
    """Whether a reading keeps to each limit but a warning that cannot be judged. All else unknown has a beginning."""
    return verdict.level is Level.UNKNOWN and verdict.taken_at is not None and verdict.since is None


def because_of(move: Move, state: State, finding: Finding, facts: Circumstances) -> str:
    """The reason for a move, in words and numbers."""
    match move:
        case Move.ABORT if facts.aborted_by:
            return facts.aborted_by
        case Move.ABORT if next_rung(state, facts) == ABORT:
            return why_aborted(state, facts)
        case Move.ABORT:
            return f"cancelled {state.cancels} times and came back: {finding.because}"
        case Move.ENDED:
            return f"the migration ended: {facts.outcome}"
        case Move.GONE:
            return _why_gone(state)
        case Move.SOAKED:
            return "the soak is over"
        case _:
            return finding.because


def _why_gone(state: State) -> str:
    if state.run_id is None:
        return "its sessions have ended"
    if TERMINATE in state.rungs:
        return "its session was ended, since it did not keep to its pause"
    return "its session ended without saying how the migration went"
