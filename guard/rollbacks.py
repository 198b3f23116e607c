"""Settings to ready rollback hooks, for the daemon and for the rollback unit. No hook is run here."""

from __future__ import annotations

from guard.act.rollback_hook import RollbackHook
from guard.act.rollback_unit import RollbackByUnit, files_of
from guard.act.verify import Verification
from guard.errors import HookError
from guard.model import EVERYONE
from guard.ports import Hook, Verifier
from guard.settings import DatabaseSettings, RollbackSettings, Settings


def _rollbacks(settings: Settings) -> dict[str, RollbackSettings]:
    """By migration; `*` for those without a section of their own."""
    wanted: dict[str, RollbackSettings | None] = {EVERYONE: settings.rollback}
    wanted |= {name: migration.rollback for name, migration in settings.migrations.items()}
    return {name: rollback for name, rollback in wanted.items() if rollback is not None}


def hooks_of(settings: Settings, database: str) -> dict[str, Hook]:
    """The hooks of one database by migration, as its guard uses them."""
    return {name: _hook(settings, rollback, database) for name, rollback in _rollbacks(settings).items()}


def _hook(settings: Settings, rollback: RollbackSettings, database: str) -> Hook:
    state = settings.guard.state_directory
    if not rollback.by_unit:
        return _hook_here(settings, rollback, database)
    files = files_of(state, database)
    return RollbackByUnit(
        rollback.command, timeout=rollback.timeout, state_directory=state, database=database, files=files
    )


def _hook_here(settings: Settings, rollback: RollbackSettings, database: str) -> RollbackHook:
    directory = files_of(settings.guard.state_directory, database).directory
    return RollbackHook(
        rollback.command, timeout=rollback.timeout, state_directory=directory, environment=rollback.environment
    )


def hook_of_unit(settings: Settings, database: str, migration: str) -> RollbackHook:
    """The hook that the rollback unit runs for a migration. Raises HookError where the file has none for it."""
    rollback = settings.migration(migration).rollback
    if database not in {each.name for each in settings.databases}:
        raise HookError(f"{settings.path} has no [database.{database}]")
    if rollback is None or not rollback.by_unit:
        raise HookError(f'{settings.path} has no [rollback] with runner = "unit" for it')
    return _hook_here(settings, rollback, database)


def problems_of_hooks(settings: Settings) -> list[str]:
    """What keeps this process from running the hooks that it has to run itself, each with its place in the file."""
    found = []
    for name, rollback in _rollbacks(settings).items():
        place = "[rollback]" if rollback == settings.rollback else f"[migration.{name}.rollback]"
        for database in settings.databases if not rollback.by_unit else ():
            problems = _hook_here(settings, rollback, database.name).check()
            found += [f"{place} {words}" for words in problems]
    return list(dict.fromkeys(found))


def verifiers_of(settings: Settings, database: DatabaseSettings) -> dict[str, Verifier]:
    """The queries that have the last word on a rollback, by migration. Raises WorldError without a credential."""
    return {
        name: Verification(database.conninfo(), rollback.verify)
        for name, rollback in _rollbacks(settings).items()
        if rollback.verify is not None
    }
