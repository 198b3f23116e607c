"""A rollback's reason, read once more before it begins; pure. It asks no probe: these look by themselves.

Between the decision and the claim lie the abort and sessions that take their time to end, and perhaps a restart of the
guard. What was measured by then may be over, or may have been the load of those very sessions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from guard.cycle.board import Board
from guard.decide.checks import due_by_check
from guard.model import EVERYONE, Reading, Rule, State, Verdict


@dataclass(frozen=True, slots=True)
class Proof:
    """The sessions of a run are gone."""

    at: float
    """By when, in monotonic seconds: an answer that comes later to a question of before may speak of them still."""
    behind: tuple[str, ...] = ()
    """What their statements left behind, in words."""


@dataclass(frozen=True, slots=True)
class Reread:
    """What came of reading again."""

    confirmed: bool = False
    withheld: str = ""
    """Why the rollback must not be made; empty where it may, or where nobody knows yet."""


def reread(state: State, rules: tuple[Rule, ...], board: Board, proof: Proof) -> Reread:
    """Whether a limit by which the rollback is due is still breached, by a reading that was asked for after *proof*."""
    if any(order.migration in (EVERYONE, state.migration) for order in board.orders("override")):
        return Reread(withheld="an operator's override is in force")
    if due_by_check(state):
        # The database was asked after the run had ended: whatever its data are now, no session of it changes them.
        return Reread(confirmed=True)
    # Of a state that an earlier version wrote down, any rule that can roll back may be the one.
    by = {rule.name: rule for rule in rules if rule.rollback and rule.name in (state.rollback_by or (rule.name,))}
    asked = [verdict for verdict in board.finding(state.migration).verdicts if verdict.rule in by]
    if not asked:
        return Reread(withheld="no rule asks for it any more: what did was taken out of the file, or muted")
    answers = [_still_harms(verdict, by[verdict.rule], board, proof) for verdict in asked]
    if True in answers:
        return Reread(confirmed=True)
    if None in answers:
        return Reread()
    return Reread(withheld="; ".join(verdict.because for verdict in asked))


def _still_harms(verdict: Verdict, rule: Rule, board: Board, proof: Proof) -> bool | None:
    """By its newest reading; None where that is no new one, or none at all."""
    sample = board.samples.get(rule.sensor)
    if not isinstance(sample, Reading) or sample.taken_at <= proof.at:
        return None
    if verdict.taken_at != sample.taken_at:  # it came since the last judgement, or is too old for one
        return None
    # What divides by nothing measures nothing.
    return verdict.harms if math.isfinite(sample.value) else None
