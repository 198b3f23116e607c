"""What a guard that only observes makes of a decision: it tells what it would have done, and orders nothing.

It follows a run as far as a pause. A run that is only thought to be aborted goes on, and must not be found aborted by a
guard that enforces.
"""

from __future__ import annotations

import dataclasses

from guard.cycle.ledger import Ledger
from guard.cycle.values import Key
from guard.decide import notices
from guard.decide.decision import Decision
from guard.decide.notices import Draft
from guard.model import Ask, Finding, Phase, Severity, State

ORDERED = (Phase.ROLLING_BACK, Phase.ABORTED)
"""Phases that a guard which only observes does not enter."""


def imagined(decision: Decision, before: State) -> State:
    """How far a guard that only observes goes with a decision."""
    if decision.moved_from is None or decision.state.phase not in ORDERED:
        return decision.state
    if decision.moved_from in (Phase.RUNNING, Phase.STRAINED):
        # It is no end of the run here, only one more pause.
        account = dataclasses.replace(before.account, pauses=before.account.pauses + 1)
        return dataclasses.replace(decision.state, phase=Phase.PAUSED, account=account)
    return before


def imagine(decision: Decision, draft: Draft, states: dict[Key, State], ledger: Ledger, *, wall: float) -> None:
    """Say once of a run what would have been ordered that it cannot be followed in."""
    key = (decision.state.migration, decision.state.run_id)
    states[key] = kept = imagined(decision, states[key])
    ledger.tell(draft, kept, wall, once=True)


def would_cancel(decision: Decision, finding: Finding) -> Draft | None:
    """That a run holds up a queue, for which it would have been cancelled."""
    if not decision.clear_queue:
        return None
    because = "; ".join(verdict.because for verdict in finding.asking(Ask.CANCEL))
    return notices.in_observe_mode(Draft("would_cancel", Severity.INFO, "would be cancelled", because))
