"""verify: checks of the data by hand or by a deploy pipeline, as an exit code. It asks, and changes nothing."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guard.cli.where import AsJson, Config, Database, Dsn, settings_of, target
from guard.cli.words import duration, print_json
from guard.exits import Exit

if TYPE_CHECKING:
    from guard.model import Answer, Check
    from guard.settings import Settings


def verify(
    name: Annotated[str, typer.Argument(help="The migration.")],
    phase: Annotated[
        str | None,
        typer.Option("--phase", show_default="the checks of [verify]", help="The phase that is to be entered."),
    ] = None,
    config: Config = None,
    database: Database = None,
    dsn: Dsn = None,
    timeout: Annotated[str, typer.Option("--timeout", help="For all checks together.")] = "1m",
    json: AsJson = False,
) -> None:
    """Whether the data are as they must be before a phase: exit 0 they are; 5 a check fails; 3 nobody can know.

    The checks stand in the configuration file, as [migration.NAME.phase.PHASE.CHECK]; --dsn says by whom and where they
    are asked, read-only. Without --phase those of [verify] that are about one moment are asked.

    --json: {"migration", "phase", "database", "holds": true|false|null, "checks": [{"check", "holds", "said",
    "offending": [first 20 rows], "more"}], "not_asked": [...]}.
    """
    from guard.act.checks import Checks
    from guard.judge.checks import judge_answer

    settings = settings_of(config)
    where = target(config, database, dsn)
    checks, compared = _checks(settings, name, phase, where.name if dsn is None else _named(settings, database))
    answers = asyncio.run(Checks(where.conninfo).ask(checks, within=duration(timeout)))
    seen = [
        (*judge_answer(check, answer, None, before=True), answer) for check, answer in zip(checks, answers, strict=True)
    ]
    all_of = [found.holds for found, _, _ in seen]
    holds = False if False in all_of else None if None in all_of else True
    if json:
        print_json(
            {
                "migration": name,
                "phase": phase,
                "database": where.name,
                "holds": holds,
                "checks": [_as_json(found.holds, said, answer) for found, said, answer in seen],
                "not_asked": compared,
            }
        )
    else:
        for found, said, answer in seen:
            _show(found.holds, said, answer)
        for each in compared:
            typer.echo(f'not asked  check "{each}" compares before and after a run, which the guard does')
        typer.echo(_verdict(name, phase, holds))
    raise typer.Exit({True: Exit.DONE, False: Exit.UNVERIFIED, None: Exit.WORLD}[holds])


def _checks(settings: Settings, name: str, phase: str | None, database: str) -> tuple[tuple[Check, ...], list[str]]:
    """What is to be asked, and what of it cannot be asked at one moment."""
    migration = settings.migration(name)
    if phase is None:
        every = migration.checks_of(database)
        asked, compared = tuple(check for check in every if not check.same), [c.name for c in every if c.same]
        if not asked:
            raise typer.BadParameter(f"{settings.path} has no check with no_rows for {name} in database {database}")
        return asked, compared
    if phase not in migration.phases:
        known = ", ".join(migration.phases) or "none"
        raise typer.BadParameter(f"{settings.path} has no phase {phase} for {name}; there is {known}")
    gate = migration.gate(phase, database)
    if not gate:
        raise typer.BadParameter(f"no check of phase {phase} is asked in database {database}")
    return gate, []


def _named(settings: Settings, database: str | None) -> str:
    """Of which database's checks a connection string is meant."""
    known = [each.name for each in settings.databases]
    if database is None and len(known) == 1:
        return known[0]
    if database not in known:
        raise typer.BadParameter(f"say which --database: {', '.join(known)}")
    return database


def _show(holds: bool | None, said: str, answer: Answer) -> None:
    typer.echo(f"{ {True: 'holds      ', False: 'FAILS      ', None: 'UNKNOWN    '}[holds] }{said}")
    # A reason names the first three of them.
    for row in answer.offending[3:]:
        typer.echo(f"           {row}")


def _verdict(name: str, phase: str | None, holds: bool | None) -> str:
    step = f"enter phase {phase}" if phase else "be taken as done"
    if holds:
        return f"{name} may {step}."
    return f"{name} must not {step}" + (": see above." if holds is False else ", since nobody knows: see above.")


def _as_json(holds: bool | None, said: str, answer: Answer) -> dict[str, object]:
    kept = dataclasses.asdict(answer)
    shown = {key: kept[key] for key in ("check", "offending", "more")}
    return {**shown, "holds": holds, "said": said}


COMMANDS: dict[str, Callable[..., Any]] = {"verify": verify}
