"""How often a run may be paused before it stays so, and for how long at least. Pure.

To stay paused is all that follows: what lasts is told by guard.cycle.reminders, and nothing here ends a run.
"""

from __future__ import annotations

import dataclasses
import shlex
from dataclasses import dataclass

from guard.model import State

FLAP_BREAKER = "flap breaker"
"""The name under which an operator's mute lets a run go on that was paused too often."""


@dataclass(frozen=True, slots=True)
class Flap:
    """So many pauses in so many seconds, and the run stays paused."""

    pauses: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the configuration allows; seconds."""

    flap: Flap | None = None
    """None by default: a backfill that a slow standby throttles is paused each minute and does its work all the same,
    and must not stand still in the morning because nobody was there at night."""
    shortest_pause: float = 0.0
    """0 by default, since each rule has a time of its own for which it must have been well."""
    longest_pause: float = 3600.0
    """An hour: what stands longer is an incident of its own, and its first message is long out of sight."""
    longest_unknown: float = 600.0
    """Ten minutes: far beyond the restart of any source, so somebody has to mend it."""
    longest_fence: float = 60.0
    """A minute: what a cut-over takes is seconds, and for as long as it lasts an application may stand still."""
    ignored: tuple[str, ...] = ()
    """The rungs of guard.decide.obeying that may be taken where a pause is ignored. None by default: to end what is at
    work is for whoever knows what it is."""


USUAL_BOUNDS = Bounds()


def paused_again(state: State, wall: float, bounds: Bounds) -> State:
    """The state of a run that is paused now: it remembers that, and stays so if it was once too often.

    Sessions that registered nothing are not kept: they read no order, so nobody could let them go on.
    """
    flap = bounds.flap
    if flap is None or state.run_id is None:
        return state
    # A clock that was set back leaves times in the future, which count for nothing.
    recent = tuple(at for at in state.pauses if 0 <= wall - at < flap.seconds)[1 - flap.pauses :]
    state = dataclasses.replace(state, pauses=(*recent, wall))
    if len(state.pauses) < flap.pauses:
        return state
    state = dataclasses.replace(state, stays=f"paused {flap.pauses} times in {flap.seconds / 60:g} min")
    return dataclasses.replace(state, because=state.because + _why_it_stays(state))


def pardoned(state: State) -> State:
    """The state after a human's word that it may go on: its earlier pauses count no more."""
    if not state.pauses and not state.stays:
        return state
    because = state.because.removesuffix(_why_it_stays(state)) if state.stays else state.because
    return dataclasses.replace(state, pauses=(), stays="", because=because)


def _why_it_stays(state: State) -> str:
    return f"; {state.stays}, so it stays paused until `{resume_command(state)}`"


def must_stay(state: State, wall: float, bounds: Bounds) -> bool:
    """Whether a paused run stays so although every rule is well."""
    return bool(state.stays) or 0 <= wall - state.since_wall < bounds.shortest_pause


def resume_command(state: State) -> str:
    """What a human says to let a run go on that stays paused."""
    return f"migration-guard resume {shlex.quote(state.migration)}"
