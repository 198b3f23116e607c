"""Pauses and warnings that come and go: a few are told, the rest only written down. It stops no pause.

A standby that restarts each half minute pauses and lets go each time; nobody reads the fortieth message of it, nor the
one that matters after it. What lasts is told all the same, only later.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from guard.cycle.values import Key
from guard.decide.notices import Draft
from guard.judge.quantities import say_seconds
from guard.model import State
from guard.ports import Done

OFTEN, WINDOW = 3, 600.0
"""So many of a kind are told of one migration in this many seconds."""
PATIENCE = 120.0
"""Seconds after which one that was held back is told, since it did not come and go."""
_DAMPED = ("paused", "warned")
_NOTE = (
    f"It comes and goes: for {say_seconds(WINDOW)}, only what lasts {say_seconds(PATIENCE)} is told here; "
    "`migration-guard explain` shows the rest."
)


@dataclass(frozen=True, slots=True)
class _Held:
    since: float
    draft: Draft


class Flapping:
    """Holds back what people have been told too often. Times are monotonic seconds, as of the last `overdue`."""

    def __init__(self) -> None:
        self._now = 0.0
        self._told: dict[tuple[str, str], list[float]] = {}
        self._held: dict[Key, _Held] = {}

    def overdue(self, now: float) -> list[tuple[Key, Draft]]:
        """What was held back and has lasted; it is to be told now."""
        self._now = now
        late = [key for key, held in self._held.items() if now - held.since >= PATIENCE]
        return [(key, self._let_go(key[0], self._held.pop(key))) for key in late]

    def _let_go(self, migration: str, held: _Held) -> Draft:
        self._count(migration, held.draft.kind)
        lasting = say_seconds(self._now - held.since)
        return dataclasses.replace(held.draft, fields={**held.draft.fields, "lasting for": lasting})

    def remember(self, recent: Sequence[Done], now: float) -> None:
        """What guards before this one have told of late."""
        self._now = now
        for done in recent:
            if done.told and done.kind in _DAMPED:
                known = self._told.get((done.migration, done.kind), [])
                self._told[done.migration, done.kind] = [*known, now - done.age]

    def damped(self, draft: Draft | None, state: State) -> Draft | None:
        """The draft of a change of phase, if it is to be told now."""
        key = (state.migration, state.run_id)
        held = self._held.pop(key, None)
        if draft is None or (draft.kind == "resumed" and held is not None):
            return None
        if draft.kind not in _DAMPED:
            return draft
        if len(self._of_late(state.migration, draft.kind)) >= OFTEN:
            self._held[key] = _Held(self._now, draft)
            return None
        self._count(state.migration, draft.kind)
        return _with_note(draft) if len(self._of_late(state.migration, draft.kind)) == OFTEN else draft

    def _of_late(self, migration: str, kind: str) -> list[float]:
        return [at for at in self._told.get((migration, kind), []) if self._now - at < WINDOW]

    def _count(self, migration: str, kind: str) -> None:
        self._told[migration, kind] = [*self._of_late(migration, kind), self._now]
        # What is no longer of late is of no use: a daemon lives for months.
        self._told = {key: told for key in self._told if (told := self._of_late(*key))}


def _with_note(draft: Draft) -> Draft:
    return dataclasses.replace(draft, next_step=f"{draft.next_step} {_NOTE}".strip())
