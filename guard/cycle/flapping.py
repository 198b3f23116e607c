"""Pauses and warnings that come and go: a few are told, the rest only counted and written down. It stops no pause.

A standby that restarts each half minute pauses and lets go each time; nobody reads the fortieth message of it, nor the
one that matters after it. What lasts is told all the same, only later, with how often it came meanwhile.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

from guard.cycle.values import Key
from guard.decide.notices import Draft
from guard.judge.quantities import say_seconds
from guard.model import Phase, State
from guard.ports import Done

OFTEN, WINDOW = 3, 600.0
"""So many of a kind are told of one migration in this many seconds."""
PATIENCE = 120.0
"""Seconds after which one that was held back is told, since it did not come and go."""
_DAMPED = ("paused", "warned")
_NOTE = (
    f"it comes and goes, so for {say_seconds(WINDOW)} only what lasts {say_seconds(PATIENCE)} is told here; "
    "`migration-guard explain` shows the rest"
)


_OVER = (Phase.DONE, Phase.SOAKING, Phase.ABORTED, Phase.ROLLING_BACK)


@dataclass(frozen=True, slots=True)
class _Held:
    since: float
    draft: Draft


@dataclass(slots=True)
class _Lately:
    """What came of one kind for one migration; monotonic seconds."""

    came: list[float] = field(default_factory=list)
    told: list[float] = field(default_factory=list)
    untold: int = 0
    """Of those that came and went since one was told last."""


class Flapping:
    """Holds back what people have been told too often. Times are monotonic seconds, as of the last `overdue`."""

    def __init__(self) -> None:
        self._now = 0.0
        self._lately: dict[tuple[str, str], _Lately] = {}
        self._held: dict[Key, _Held] = {}

    def overdue(self, now: float) -> list[tuple[Key, Draft]]:
        """What was held back and has lasted; it is to be told now."""
        self._now = now
        late = [key for key, held in self._held.items() if now - held.since >= PATIENCE]
        return [(key, self._let_go(key[0], self._held.pop(key))) for key in late]

    def _let_go(self, migration: str, held: _Held) -> Draft:
        lasting = {"lasting for": say_seconds(self._now - held.since)}
        draft = self._counted(migration, held.draft)
        return dataclasses.replace(draft, fields={**draft.fields, **lasting})

    def remember(self, recent: Sequence[Done], now: float) -> None:
        """What guards before this one have seen and told of late."""
        self._now = now
        for done in recent:
            if done.kind in _DAMPED:
                lately = self._of(done.migration, done.kind)
                lately.came.append(now - done.age)
                lately.told += [now - done.age] * done.told
                lately.untold = 0 if done.told else lately.untold + 1

    def drop(self, key: Key) -> None:
        """Forget what was held back of a run: what it says is true no more."""
        self._held.pop(key, None)

    def damped(self, draft: Draft | None, state: State) -> Draft | None:
        """The draft of a change of phase, if it is to be told now."""
        key = (state.migration, state.run_id)
        held = self._held.pop(key, None)
        if state.phase in _OVER:
            # The account of the run tells how often it was.
            self._of(state.migration, "paused").untold = self._of(state.migration, "warned").untold = 0
        elif held is not None:
            self._of(state.migration, held.draft.kind).untold += 1
        if draft is None or (draft.kind == "resumed" and held is not None):
            return None
        if draft.kind not in _DAMPED:
            return draft
        lately = self._of(state.migration, draft.kind)
        lately.came.append(self._now)
        if len(lately.told) >= OFTEN:
            self._held[key] = _Held(self._now, draft)
            return None
        told = self._counted(state.migration, draft)
        return _with_note(told) if len(lately.told) == OFTEN else told

    def _counted(self, migration: str, draft: Draft) -> Draft:
        """The draft, as told now, with how often it came of late."""
        lately = self._of(migration, draft.kind)
        lately.told.append(self._now)
        count, untold, lately.untold = len(lately.came), lately.untold, 0
        if count < 2:
            return draft
        often = f"{count} times in {say_seconds(round(self._now - lately.came[0]))}"
        fields = dict(draft.fields)
        # Of who only observes, and of who does not ask, the headline says something else.
        headline = f"paused again ({often})" if draft.headline == "paused" else draft.headline
        if headline == draft.headline:
            fields["of late"] = often
        if untold:
            fields["not told"] = f"{untold} of them, which ended within {say_seconds(PATIENCE)}"
        return dataclasses.replace(draft, headline=headline, fields=fields)

    def _of(self, migration: str, kind: str) -> _Lately:
        """What is of late only: a daemon lives for months."""
        for lately in self._lately.values():
            lately.came = [at for at in lately.came if self._now - at < WINDOW]
            lately.told = [at for at in lately.told if self._now - at < WINDOW]
        self._lately = {of: lately for of, lately in self._lately.items() if lately.came}
        return self._lately.setdefault((migration, kind), _Lately())


def _with_note(draft: Draft) -> Draft:
    return dataclasses.replace(draft, fields={**draft.fields, "from now on": _NOTE})
