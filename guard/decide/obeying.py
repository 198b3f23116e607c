"""Whether a run keeps to a pause, and what follows where it does not. Pure; nothing is ended or told here.

A pause is asked for, then acknowledged (the client has read it), then effective (nothing of it is in flight any more).
Who is seen at work when its grace is over climbs the rungs that the configuration allows, each once a pause, and each
only where it was seen at work again after the one below.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from guard.decide.ladder import Circumstances
from guard.model import Phase, State

CANCEL, TERMINATE, ABORT = "cancel", "terminate", "abort"
RUNGS = (CANCEL, TERMINATE, ABORT)
"""From the mildest; who may take one may take those before it."""
GOES_ON, INSIDE, LEFT = "goes on", "inside", "left"
"""Of what people are told once a pause: it goes on, it waits inside a transaction, it is left to finish."""
STOPPED = (Phase.WAITING, Phase.PAUSED)
"""Phases in which a run is told to pause."""


@dataclass(frozen=True, slots=True)
class Heed:
    """How a run keeps to its pause by now."""

    state: State
    became_effective: bool = False
    """For the first time in this pause."""
    rung: str = ""
    """What is to be done to its sessions now: CANCEL or TERMINATE."""
    news: tuple[str, ...] = ()


def heed(state: State, facts: Circumstances) -> Heed:
    """Look at a run that stays in its phase."""
    if state.phase not in STOPPED:
        return Heed(state)
    paused, was = state.phase is Phase.PAUSED, state.effective
    # Who was seen at work after it had acknowledged is believed again only once it was quiet for a while.
    held = paused and not facts.in_flight and (facts.quiet or (facts.acknowledged and not state.broken))
    broke = was and bool(facts.in_flight)
    rung = next_rung(state, facts)
    news = tuple(mark for mark in _news(state, facts, rung) if mark not in state.rungs)
    since = state.effective_since_wall if was else facts.wall if held else None
    heard = state.acknowledged_since_wall
    after = dataclasses.replace(
        state,
        effective=held or (was and not broke),
        effective_since_wall=None if broke else since,
        acknowledged_since_wall=facts.wall if heard is None and paused and facts.heard else heard,
        broken=state.broken + broke,
        rungs=(*state.rungs, *news),
    )
    return Heed(after, held and not was and not state.broken, "" if rung == ABORT else rung, news)


def next_rung(state: State, facts: Circumstances) -> str:
    """The rung that is due now; empty where none is.

    Who had to be terminated is aborted where that is allowed, so that it stays down, whatever it does by then.
    """
    allowed = facts.bounds.ignored
    if state.phase not in STOPPED or not facts.overdue:
        return ""
    if ABORT in allowed and TERMINATE in state.rungs:
        return ABORT
    if not facts.in_flight or facts.beyond:
        return ""
    # A cancel does nothing to a session that idles in its transaction.
    useful = (rung for rung in allowed if rung != ABORT and not (rung == CANCEL and facts.idles))
    return next((rung for rung in useful if rung not in state.rungs), "")


def _news(state: State, facts: Circumstances, rung: str) -> tuple[str, ...]:
    inside = (INSIDE,) if facts.inside else ()
    left = (LEFT,) if facts.left and facts.overdue else ()
    told = facts.idles and (inside or INSIDE in state.rungs)
    goes_on = (GOES_ON,) if facts.overdue and facts.in_flight and not rung and not told else ()
    return inside + left + goes_on


def why_aborted(state: State, facts: Circumstances) -> str:
    """The reason for the last rung, in words."""
    done = " and ".join({CANCEL: "cancelled", TERMINATE: "terminated"}[r] for r in RUNGS[:2] if r in state.rungs)
    at_work = f" ({facts.in_flight})" if facts.in_flight else ""
    return f"it was told to pause and did not, until it was {done}{at_work}: {state.because}"
