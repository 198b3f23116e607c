"""replay: what another configuration would have made of a record. It asks nobody: the flight recorder alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guard.cli.where import AsJson, Config, Database, settings_of
from guard.errors import WorldError

if TYPE_CHECKING:
    from guard.journal import Reader, Recorded
    from guard.settings import Settings

Journal = Annotated[
    Path | None,
    typer.Option(
        "--journal",
        show_default="that of [guard] state_directory",
        help="The recorder's file, or the directory that it is in.",
    ),
]


def replay(
    run: Annotated[
        str | None, typer.Argument(show_default="the newest", help="The id of a run, or the name of a migration.")
    ] = None,
    config: Config = None,
    journal: Journal = None,
    database: Database = None,
    json: AsJson = False,
) -> None:
    """What this configuration would have decided on the readings of a past run, beside what was decided.

    Offline: by the flight recorder alone, also on another machine (--journal). With the configuration of the recorded
    guard each decision is the same; with another one its pauses and their length stand beside the recorded ones.

    --json: {"database", "migration", "run_id", "from", "to", "same_configuration", "configurations",
    "missing_seconds", "differs", "recorded": {"pauses", "paused_seconds", "queues_to_clear", "aborted", "rolled_back",
    "turns": [{"at", "phase", "because"}]}, "replayed": {the same}}; times are Unix seconds.
    """
    from guard.cli.courses import as_json, course_of, remarks, show
    from guard.cli.words import at, print_json
    from guard.cycle.replaying import Replay
    from guard.judge.quantities import say_seconds
    from guard.wiring import options_of

    settings = settings_of(config)
    tape, name = tape_of(settings, journal, database)
    found = _run(tape, name, run)
    try:
        played = Replay(options_of(settings, name)).play(tape.frames(name, found))
    except (ValueError, KeyError, TypeError) as wrong:
        raise WorldError(f"{tape.path} was written by a version that this one cannot read ({wrong!r}).") from None
    key = (found.migration, found.run_id)
    recorded, other = (course_of(side, key, played.ended) for side in (played.recorded, played.other))
    if json:
        print_json(
            {
                "database": name,
                "migration": found.migration,
                "run_id": found.run_id,
                "from": played.began,
                "to": played.ended,
                "same_configuration": played.same_options,
                "configurations": played.configurations,
                "missing_seconds": round(played.missing, 3),
                "differs": played.differs,
                "recorded": as_json(recorded),
                "replayed": as_json(other),
            }
        )
        return
    lasted = say_seconds(round(played.ended - played.began, 1))
    typer.echo(f"{name}: {_named(found)}, {at(played.began)} to {at(played.ended)} ({lasted}), {tape.path}\n")
    show(recorded, other, name=str(settings.path))
    typer.echo(f"\nRecorded: {recorded.words}.\n{settings.path} would have: {other.words}.")
    for remark in remarks(played):
        typer.echo(remark)


def tape_of(settings: Settings, journal: Path | None, database: str | None) -> tuple[Reader, str]:
    """The tape, and the name of the database on it that is meant. Raises WorldError."""
    from guard.journal import Reader
    from guard.wiring import TAPE

    path = journal or settings.guard.state_directory
    tape = Reader(path / TAPE if path.is_dir() or journal is None else path)
    known, kept = [each.name for each in settings.databases], tape.databases()
    both = [name for name in known if name in kept and database in {None, name}]
    if len(both) == 1:
        return tape, both[0]
    if len(both) > 1:
        raise typer.BadParameter(f"say which --database: {', '.join(both)}")
    named = f"database {database}" if database else f"[database.{known[0]}]"
    raise WorldError(f"Nothing of {named} is in {tape.path}; there is {', '.join(kept) or 'nothing'}.")


def _run(tape: Reader, database: str, wanted: str | None) -> Recorded:
    runs = tape.runs(database)
    fits = [run for run in runs if wanted in {None, run.migration, str(run.run_id)}]
    if not fits:
        there = ", ".join(_named(run) for run in runs[-10:]) or "none"
        raise WorldError(f"There is no run {wanted or ''} of {database} in {tape.path}; there is: {there}.")
    return max(fits, key=lambda run: run.last)


def _named(run: Recorded) -> str:
    return "sessions that registered nothing" if run.run_id is None else f"{run.migration} (run {run.run_id})"


COMMANDS: dict[str, Callable[..., Any]] = {"replay": replay}
