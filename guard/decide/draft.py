"""A notice before it is addressed, and the commands that stand in it. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from guard.model import EVERYONE, Notice, Phase, Severity, State

OURSELVES = "migration-guard"
"""Whom a headline names that is about the guard itself."""
_AFTER_COLON = ("rollback_due", "operator")
"""Kinds whose headline is no verb of the migration."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A notice without its id, time and addressee."""

    kind: str
    severity: Severity
    headline: str
    because: str
    next_step: str = ""
    commands: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    about: str = ""
    """Whom the headline names; empty: the migration of the state that it is told of."""


def address(draft: Draft, state: State, *, notice_id: str, database: str, wall: float) -> Notice:
    """Make a notice of a draft."""
    return Notice(
        notice_id=notice_id,
        at_wall=wall,
        database=database,
        migration=state.migration,
        run_id=state.run_id,
        kind=draft.kind,
        severity=draft.severity,
        headline=f"{draft.about or name_of(state)}{':' * (draft.kind in _AFTER_COLON)} {draft.headline}",
        because=draft.because,
        next_step=draft.next_step,
        commands=draft.commands,
        fields=dict(draft.fields),
    )


def name_of(state: State) -> str:
    """The migration as people know it."""
    return "an unregistered migration" if state.migration == EVERYONE else state.migration


def commands_for(phase: Phase, migration: str) -> tuple[str, ...]:
    """The exact commands that change what happens next."""
    name = shlex.quote(migration)  # a shell would make file names of *
    if phase is Phase.PAUSED and migration == EVERYONE:
        return (f"migration-guard explain {name}",)  # an order for '*' would be one for every migration
    if phase is Phase.PAUSED:
        return (
            f"migration-guard explain {name}",
            f"migration-guard override {name} --reason WHY --for 30m",
            f"migration-guard abort {name} --reason WHY",
        )
    if phase is Phase.ABORTED:
        return (f"migration-guard explain {name}", f"migration-guard forget {name}")
    if phase in (Phase.ROLLING_BACK, Phase.STRAINED):
        return (f"migration-guard explain {name}",)
    return ()
