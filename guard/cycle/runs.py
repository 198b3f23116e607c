"""The runs under guard, each with its state: who is met anew, who is taken up after a restart, who is let go.

What becomes of a run is decided elsewhere.
"""

from __future__ import annotations

import dataclasses

from guard.cycle.acting import Acting
from guard.cycle.board import Board
from guard.cycle.lasting import is_newer
from guard.cycle.ledger import Ledger
from guard.cycle.values import Key
from guard.decide.decision import UNHEARD
from guard.decide.ladder import breached_before
from guard.decide.machine import ENDINGS
from guard.model import EVERYONE, Phase, Roster, Run, State


class Runs:
    """`states` are shared with whoever decides and acts on them; a run that was let go is not met again."""

    def __init__(self, ledger: Ledger) -> None:
        self.states: dict[Key, State] = {}
        self._ledger = ledger
        self.closed: set[int] = set()
        """Runs that were let go."""

    def anybody(self, roster: Roster) -> bool:
        """Whether somebody migrates, or is about to."""
        awake = any(state.phase not in ENDINGS for state in self.states.values())
        coming = any(run.outcome is None and run.run_id not in self.closed for run in roster.runs)
        return awake or coming or bool(roster.strangers)

    def restore(self, state: State, *, even: bool) -> None:
        """Take up what was written down of a run; *even*: also where that is no newer than what is known."""
        key, known = key_of(state), self.states.get(key_of(state))
        if state.phase is Phase.DONE:
            self.closed |= {state.run_id} if state.run_id is not None else set()
            self.states.pop(key, None)
        elif state.run_id not in self.closed and (known is None or is_newer(state, known, even=even)):
            self.states[key] = state

    def moved(self) -> None:
        """The guard leads on another primary: who had left on the one before may have left its number to another run.

        What a standby had not yet received of a failed primary is lost, and so are the numbers given there last.
        """
        self.closed.clear()

    def meet(self, board: Board, acting: Acting, now: float, wall: float) -> None:
        """Take up who is new, and let go of what a human has forgotten."""
        roster = board.roster
        if roster is None:
            return
        standing = {order.migration for order in roster.operator_orders if order.kind == "abort"}
        for migration, upto in roster.forgotten:
            for key, state in tuple(self.states.items()):
                # Sessions without a run would be met anew and aborted again at each step.
                still = key[1] is None and bool(standing & {migration, EVERYONE})
                if key[0] == migration and (key[1] or 0) <= upto and state.phase is Phase.ABORTED and not still:
                    acting.forgive(migration)
                    self._close(dataclasses.replace(state, phase=Phase.DONE, because="forgotten by a human"))
        for run in roster.runs:
            key = (run.migration, run.run_id)
            if run.outcome is None and key not in self.states and run.run_id not in self.closed:
                self._begin("registered", _newcomer(run, acting.cancels_of(run.migration, now), wall))
            known = self.states.get(key)
            if known is not None and known.applied_since_wall is None and (run.rows_done or run.batches_done):
                early = breached_before(known, board.finding(run.migration))
                self._begin("applied", dataclasses.replace(known, applied_since_wall=wall, breached_before=early))
        if roster.strangers and (EVERYONE, None) not in self.states:
            names = ", ".join(sorted({session.application_name or session.usename for session in roster.strangers}))
            self._begin("seen", State(EVERYONE, None, Phase.RUNNING, f"seen at work: {names}", wall))

    def _begin(self, kind: str, state: State) -> None:
        self.states[key_of(state)] = state
        self._ledger.record(kind, state)

    def _close(self, state: State) -> None:
        self.forget(state)
        self._ledger.record("closed", state)

    def forget(self, state: State) -> None:
        """Let go of a run for good."""
        self.states.pop(key_of(state), None)
        self.closed |= {state.run_id} if state.run_id is not None else set()


def unheard(state: State) -> State:
    """What a run is told that was taken up at work: nothing yet, since nobody knows how the world is now."""
    if state.phase not in (Phase.RUNNING, Phase.STRAINED):
        return state
    return dataclasses.replace(state, phase=Phase.WAITING, because=UNHEARD)


def key_of(state: State) -> Key:
    """What a state is known by."""
    return (state.migration, state.run_id)


def _newcomer(run: Run, cancels: int, wall: float) -> State:
    return State(run.migration, run.run_id, Phase.WAITING, UNHEARD, wall, cancels=cancels)
