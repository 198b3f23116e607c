"""rollback --rehearse: the rollback hook of a migration, run by hand and marked as a rehearsal. It claims nothing."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guard.cli.where import AsJson, Config, Database, settings_of
from guard.cli.words import print_json
from guard.errors import WorldError
from guard.exits import Exit

if TYPE_CHECKING:
    from guard.ports import HookOutcome
    from guard.settings import RollbackSettings, Settings


def rollback(
    name: Annotated[str, typer.Argument(help="The migration.")],
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="Run the hook, told by MIGRATION_GUARD_REHEARSAL that it is a rehearsal.")
    ] = False,
    config: Config = None,
    database: Database = None,
    json: AsJson = False,
) -> None:
    """Rehearse a migration's rollback: its hook, with its timeout and environment, as this user. Exits 5 if it fails.

    The hook is told by MIGRATION_GUARD_REHEARSAL=true, and by "rehearsal": true in what it reads, and must then change
    nothing that matters. No run is claimed, aborted or recorded. In a real rollback there is no such variable.

    --json: {"migration", "database", "command", "ok", "words", "output"}.
    """
    settings = settings_of(config)
    hook = settings.migration(name).rollback
    if hook is None:
        raise typer.BadParameter(f"{settings.path} has no [rollback] and no [migration.{name}.rollback]")
    if not rehearse:
        by_hand = " ".join(hook.command)
        raise typer.BadParameter(f"give --rehearse: only a guard fires a rollback; by hand it is the hook: {by_hand}")
    place = _database(settings, database)
    outcome = asyncio.run(_rehearse(hook, place, name))
    if json:
        kept = {"ok": outcome.ok, "words": outcome.words, "output": outcome.output}
        print_json({"migration": name, "database": place, "command": list(hook.command), **kept})
    else:
        if outcome.output:
            typer.echo(outcome.output.rstrip("\n"))
        if hook.by_unit:
            typer.echo("(Run as this user, and not in the sandbox of migration-guard-rollback.service.)", err=True)
        typer.echo(f"Rehearsal of the rollback of {name}: {'well' if outcome.ok else 'FAILED'}, {outcome.words}.")
    raise typer.Exit(Exit.DONE if outcome.ok else Exit.UNVERIFIED)


async def _rehearse(hook: RollbackSettings, database: str, name: str) -> HookOutcome:
    from guard.act.rollback_hook import RollbackHook

    # Start and result files of its own: whether the hook of a run was started must never be read of a rehearsal.
    with tempfile.TemporaryDirectory(prefix="migration-guard-rehearsal-") as directory:
        runner = RollbackHook(
            hook.command, timeout=hook.timeout, state_directory=Path(directory), environment=hook.environment
        )
        if problems := runner.check():
            raise WorldError("; ".join(problems))
        facts = {"event": "rollback", "rehearsal": True, "database": database, "migration": name, "run_id": 0}
        return await runner.run({**facts, "because": "a rehearsal"})


def _database(settings: Settings, database: str | None) -> str:
    known = [each.name for each in settings.databases]
    if database is None and len(known) == 1:
        return known[0]
    if database not in known:
        raise typer.BadParameter(f"say which --database: {', '.join(known)}")
    return database


COMMANDS: dict[str, Callable[..., Any]] = {"rollback": rollback}
