"""Cancels that a guard was about to make when it was killed: told, and counted, by the one that takes up its runs.

What is to be cleared is kept with the run before it is cleared. It is an intent, and no proof: so people are told that
it may have been.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

from guard.cycle.ledger import Ledger
from guard.cycle.values import Key
from guard.decide import notices
from guard.decide.decision import Decision
from guard.decide.machine import ENDINGS
from guard.model import State
from guard.ports import Done


class Interrupted:
    """`states` and `ledger` are the guard's own."""

    def __init__(self, states: dict[Key, State], ledger: Ledger) -> None:
        self._states = states
        self._ledger = ledger
        self._doubts: dict[Key, State] = {}

    def take_up(self, recent: Sequence[Done], last_event_id: int) -> None:
        """What the guard before has left, but for what it has told in the trail since it last wrote its journal."""
        ended = {done.migration for done in recent if done.kind == "cancelled" and done.event_id > last_event_id}
        self._doubts = {key: state for key, state in self._states.items() if state.clearing and key[0] not in ended}

    def intend(self, decision: Decision, under_way: Collection[str]) -> None:
        """Keep in mind what is about to be cleared; it is written down before it is.

        And what is being cleared: the queue may be seen to be gone before it is known why.
        """
        key = (decision.state.migration, decision.state.run_id)
        state = self._states.get(key)
        if state is None or key in self._doubts:
            return
        more = (rule for rule in state.clearing if rule in under_way and rule not in decision.clear_queue)
        clearing = (*decision.clear_queue, *more)
        if state.clearing != clearing:
            self._states[key] = dataclasses.replace(state, clearing=clearing)

    def resolve(self, decision: Decision, wall: float, *, heard: bool) -> bool:
        """Whether a run was perhaps cancelled by the guard before; told once its rules have spoken, or it is over.

        Not where the queue is still there: then it is cleared anew, and that is told, whoever is still unheard.
        """
        key = (decision.state.migration, decision.state.run_id)
        before = self._doubts.get(key)
        if before is None:
            return False
        anew = bool(set(decision.clear_queue) & set(before.clearing))
        if not (anew or heard or decision.state.phase in ENDINGS):
            return False
        del self._doubts[key]
        if not anew:
            self._ledger.tell(notices.perhaps_cancelled(before), decision.state, wall)
        return not anew
