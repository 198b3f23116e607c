"""The commands by name, and what is foreseen to go wrong as one sentence and an exit code."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from guard.cli import (
    alert,
    backfill,
    control,
    executing,
    history,
    look,
    rehearsing,
    report,
    serve,
    suggest,
    unit,
    verifying,
    watch,
)
from guard.cli.plain import show_plainly
from guard.errors import ConfigError, GuardError
from guard.exits import Exit

app = typer.Typer(
    name="migration-guard",
    help="Watches PostgreSQL migrations beside production, pauses them when the database or the application suffers, "
    "and tells people why.",
    epilog="Exit codes: 0 done; 2 usage, or a file that is wrong on any machine; 3 this machine or database is not as "
    "it must be; 4 aborted; 5 verification failed; 75 try again later.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for family in (
    serve,
    look,
    watch,
    report,
    control,
    backfill,
    executing,
    verifying,
    rehearsing,
    history,
    suggest,
    alert,
):
    for name, command in family.COMMANDS.items():
        app.command(name)(command)
for name, command in unit.COMMANDS.items():
    app.command(name, hidden=True)(command)  # systemd's, not a person's


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError
        from importlib.metadata import version as version_of

        try:
            typer.echo(version_of("migration-guard"))
        except PackageNotFoundError:
            typer.echo("unknown (not installed as a package)")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    # By its own callback: it comes before the missing command is complained of.
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    if context.invoked_subcommand != "demo":  # which draws, and shows nothing of strangers
        show_plainly()


def main() -> None:
    """Run the command line and exit. Nothing that is foreseen ends in a traceback."""
    try:
        app()
    except ConfigError as wrong:
        _fail(str(wrong), Exit.USAGE)
    except GuardError as wrong:
        _fail(str(wrong), Exit.WORLD)


def _fail(words: str, code: Exit) -> None:
    typer.echo(words, err=True)
    sys.exit(code)
