"""A paced migration that other writers keep from its turn, as news: its client has noted it on its run.

It never holds anybody: such a migration waits by itself. A guard that was restarted tells it once more.
"""

from __future__ import annotations

import shlex

from guard.cycle.ledger import Ledger
from guard.cycle.values import Key
from guard.decide.notices import Draft
from guard.model import Roster, Severity, State

MARK = "starved by other writers"
"""With these words the client begins its note, after what the migration itself has noted."""
_STEP = (
    "It waits by itself, since others alone give the slowest standby more to replay than its window. Find out who "
    "writes so much, or let it work a share of its time all the same (least_share)."
)


class Starving:
    """Remembers of which runs people know it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: frozenset[Key] = frozenset()

    def hear(self, roster: Roster | None, states: dict[Key, State], wall: float) -> None:
        """Tell of those that have begun to starve, and of those that have their turn again."""
        if roster is None:
            return
        runs = [run for run in roster.runs if run.outcome is None and (run.migration, run.run_id) in states]
        notes: dict[Key, tuple[str, str, str]] = {(r.migration, r.run_id): r.note.partition(MARK) for r in runs}
        starving = frozenset(key for key, (_, mark, _) in notes.items() if mark)
        for key in sorted(starving - self._known):
            _, mark, more = notes[key]
            commands = (f"migration-guard explain {shlex.quote(key[0])}", "migration-guard status")
            draft = Draft("starved", Severity.WARNING, "waits for other writers", mark + more, _STEP, commands)
            self._ledger.tell(draft, states[key], wall)
        for key in sorted(self._known.intersection(notes) - starving):
            draft = Draft("fed", Severity.INFO, "has its turn again", "other writers leave the standby time for it")
            self._ledger.tell(draft, states[key], wall)
        self._known = starving
