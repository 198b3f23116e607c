"""Tells people of what is due and waits, since a run is in a section in which it must not be cancelled.

Whether it waits is decided elsewhere; here it becomes words, once a fence.
"""

from __future__ import annotations

from collections.abc import Iterable

from guard.cycle.board import Board
from guard.cycle.values import Key
from guard.decide.decision import Decision
from guard.decide.ladder import fence_left
from guard.decide.notices import Draft, cancel_waits
from guard.judge.quantities import say_seconds
from guard.model import Fence, State


def fence_words(fence: Fence, server_wall: float) -> str:
    """`cut-over, 12 s of 30 s left`."""
    whole, left = fence.until_wall - fence.since_wall, fence_left(fence, server_wall)
    return f"{fence.what}, {say_seconds(round(left, 1))} of {say_seconds(round(whole, 1))} left"


def fences_of(board: Board, states: Iterable[State]) -> dict[str, str]:
    """The fences in force, in words, by run."""
    found = ((state.run_id, board.fence(state.run_id)) for state in states)
    return {str(run_id): fence_words(fence, board.server_wall) for run_id, fence in found if fence is not None}


class Fencing:
    """Knows of which fences people were told."""

    def __init__(self) -> None:
        self._told: dict[Key, Fence] = {}

    def news(self, decision: Decision, because: str, board: Board) -> Draft | None:
        """What is told of that which waits for the end of a fence; None where nothing does, or it was told of this."""
        key = (decision.state.migration, decision.state.run_id)
        fence = board.fence(decision.state.run_id)
        if fence is None:
            self._told.pop(key, None)
            return None
        if not decision.held or self._told.get(key) == fence:
            return None
        self._told[key] = fence
        return cancel_waits(f"{because}; fenced: {fence_words(fence, board.server_wall)}", fence.what)
