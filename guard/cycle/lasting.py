"""What must outlast a restart of the daemon and a wall clock that is set. Pure: only the clocks' distance is kept."""

from __future__ import annotations

import dataclasses

from guard.model import State

CLOCK_STEP = 0.5
"""Seconds by which the wall clock must run away from the monotonic one to count as set."""


def is_newer(state: State, known: State, *, even: bool) -> bool:
    """Whether *state* was written down after what is *known* of the same run; *even*: or is as new as that."""
    return _age(state) >= _age(known) if even else _age(state) > _age(known)


def _age(state: State) -> tuple[float, ...]:
    # The epoch grows from order to order, whatever a clock is set to; sessions that registered nothing share one name,
    # and begin anew. Within a phase nothing is taken back, only added.
    epoch = state.epoch if state.run_id is not None else 0
    marks = (
        state.applied_since_wall is not None,
        state.asked_human,
        state.broken,
        state.effective,
        state.cancels,
        state.reminded,
        state.no_help,
        bool(state.before),
        bool(state.after),
        len(state.rungs),
    )
    return (epoch, state.since_wall, *marks)


class Clocks:
    """The wall clock beside the monotonic one."""

    def __init__(self) -> None:
        self._distance: float | None = None

    def set_by(self, now: float, wall: float) -> float:
        """Seconds by which the wall clock was set since this was asked last."""
        before, self._distance = self._distance, wall - now
        step = 0.0 if before is None else self._distance - before
        return step if abs(step) > CLOCK_STEP else 0.0


def shifted(state: State, seconds: float) -> State:
    """The same state after the wall clock was set: a soak lasts as long as it was meant to."""
    if state.soak_until_wall is None:
        return state
    return dataclasses.replace(state, soak_until_wall=state.soak_until_wall + seconds)
