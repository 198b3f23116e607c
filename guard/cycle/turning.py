"""What becomes of a run whose guard enforces from now on, or only observes, by a reload or a restart. Pure.

A pause that was only thought of holds from now on, and one that held lets go: people are told, since what they were
told of it last is true no more.
"""

from __future__ import annotations

import dataclasses

from guard.decide.decision import Decision
from guard.decide.notices import Draft, for_decision
from guard.model import Phase, Severity, State


def turned(state: State, *, observing: bool, wall: float) -> State | None:
    """The state of a run under the present mode; None where that is the one that it was in already."""
    account = state.account
    if account.observed is observing:
        return None
    if account.observed is None:
        return dataclasses.replace(state, account=dataclasses.replace(account, observed=observing))
    account = dataclasses.replace(account, observed=observing, mixed=account.mixed or account.pauses > 0)
    if state.phase is not Phase.PAUSED:
        return dataclasses.replace(state, account=account)
    lasted = max(0.0, wall - state.since_wall)
    account = dataclasses.replace(account, paused=account.paused + lasted, longest=max(account.longest, lasted))
    return dataclasses.replace(
        state,
        since_wall=wall,
        effective=False,
        effective_since_wall=None,
        acknowledged_since_wall=None,
        reminded=0,
        no_help=False,
        account=account,
    )


def turning(state: State, resume: str, *, observing: bool) -> Draft | None:
    """What people are told of a run that is paused when the mode changes."""
    if observing:
        because = f"the guard only observes from now on, and holds nobody; it was paused because: {state.because}"
        return Draft("resumed", Severity.INFO, "is not held any more", because)
    return for_decision(Decision(state, Phase.RUNNING), resume, observing=False)
