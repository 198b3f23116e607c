"""status, runs, explain: what is going on, from any machine that reaches the database."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from guard.cli.explaining import (
    channel_troubles,
    explain_other,
    explain_run,
    named,
    rules,
    standing,
    standing_orders,
    without_guard,
)
from guard.cli.seen import RunSeen, View, runs, view
from guard.cli.where import AsJson, Config, Database, Dsn, EachDatabase, Target, ask, target, targets
from guard.cli.words import ago, at, one_line, print_json, table, table_with_reasons
from guard.errors import ServerError, WorldError
from guard.exits import Exit


def status(config: Config = None, database: EachDatabase = None, dsn: Dsn = None, json: AsJson = False) -> None:
    """The guard, the migrations that run, and what operators ordered.

    --json: {"databases": [{"database", "error", "guard": {"state": live|observing|dormant|released|dead|none, "id",
    "term", "epoch", "beat_age_seconds", "lease_remaining_seconds"}, "runs": [...], "operator_orders": [...], "report",
    "report_age_seconds"}]}; the runs are as in `runs --json`, and times are Unix seconds. Exits 3 where a guard is
    missing or a database cannot be asked.
    """
    seen = [_look(where) for where in targets(config, database, dsn)]
    if json:
        print_json({"databases": [_as_json(where.name, found) for where, found in seen]})
    else:
        for where, found in seen:
            _show(where.name, found)
    well = all(isinstance(found, View) and found.guard.works for _, found in seen)
    raise typer.Exit(Exit.DONE if well else Exit.WORLD)


def runs_command(
    name: Annotated[str | None, typer.Argument(show_default="all", help="Only this migration.")] = None,
    config: Config = None,
    database: Database = None,
    dsn: Dsn = None,
    most: Annotated[int, typer.Option("--most", min=1, max=10000, help="At most this many, newest first.")] = 20,
    json: AsJson = False,
) -> None:
    """The runs of migrations, newest first, and how they ended.

    --json: {"runs": [{"run_id", "migration", "pid", "usename", "application_name", "rows_done", "batches_done",
    "note", "registered_wall", "last_seen_wall", "acknowledged_epoch", "outcome", "outcome_detail", "ended_wall",
    "pooled", "on_guard_lost", "admitted", "here", "told", "because", "source", "barred_because", "rollback_outcome",
    "rollback_claimed", "observed"}]}; times are Unix seconds.
    """
    where = target(config, database, dsn)
    found = ask(where, lambda door: runs(door, name, most=most, only_open=False))
    if json:
        print_json({"runs": [dataclasses.asdict(run) for run in found]})
        return
    if not found:
        typer.echo("No runs.")
        return
    heads = ("RUN", "MIGRATION", "BEGAN", "TOOK", "ROWS", "END", "DETAIL")
    table(heads, [_history(run) for run in found])


def explain(
    name: Annotated[str | None, typer.Argument(show_default="all that run")] = None,
    config: Config = None,
    database: Database = None,
    dsn: Dsn = None,
) -> None:
    """Why a migration is paused: each rule with value, limit, since when; who is blocked; what would resume it."""
    where = target(config, database, dsn)
    found = ask(where, lambda door: view(door, name))
    typer.echo(f"{where.name}: {found.guard.words}.")
    if not found.guard.works:
        without_guard(name or "NAME")
    standing_orders(found.orders, found.guard.now_wall)
    others = found.others(name)
    for run in found.runs:
        explain_run(where, found, run)
    known = {run.migration for run in found.runs}
    for reported in others:
        # The same rules say the same of each run of a migration.
        explain_other(found, reported, with_rules=reported.get("migration") not in known)
        known.add(str(reported.get("migration")))
    if not found.runs and not others:
        typer.echo(f"No open run{f' of {name}' if name else ''}.")
        rules(found)


def _look(where: Target) -> tuple[Target, View | str]:
    try:
        return where, ask(where, view)
    except (ServerError, WorldError) as wrong:
        return where, str(wrong).removeprefix(f"{where.name}: ")


def _as_json(name: str, found: View | str) -> dict[str, object]:
    if isinstance(found, str):
        return {"database": name, "error": found}
    guard = found.guard
    return {
        "database": name,
        "error": None,
        "guard": {
            "state": guard.state,
            "id": guard.guard_id,
            "term": guard.term,
            "epoch": guard.epoch,
            "beat_age_seconds": guard.beat_age,
            "lease_remaining_seconds": guard.remaining,
        },
        "runs": [dataclasses.asdict(run) for run in found.runs],
        "operator_orders": [dataclasses.asdict(order) for order in found.orders],
        "report": guard.report,
        "report_age_seconds": guard.report_age,
    }


def _show(name: str, found: View | str) -> None:
    if isinstance(found, str):
        typer.echo(f"{name}: {found}")
        return
    typer.echo(f"{name}: {found.guard.words}.")
    channel_troubles(found)
    if not found.guard.works:
        without_guard("NAME")
    standing_orders(found.orders, found.guard.now_wall)
    others = found.others(None)
    if not found.runs and not others:
        typer.echo("No migration is running.")
        return
    now = found.guard.now_wall
    heads = ("MIGRATION", "RUN", "TOLD", "PHASE", "FOR", "ROWS", "LAST SEEN")
    lines = [_line(found, run, now) for run in found.runs] + [_other_line(each, now) for each in others]
    table_with_reasons(heads, lines)


def _line(found: View, run: RunSeen, now: float) -> tuple[tuple[str, ...], str]:
    reported = found.reported(run)
    columns = (
        run.migration,
        str(run.run_id),
        run.told or "",
        _phase(found, reported),
        ago(reported.get("since", run.registered_wall), now),
        str(run.rows_done),
        f"{ago(run.last_seen_wall, now)} ago",
    )
    # A reason is that of the moment of the decision, with the ages of then; how things stand is a line of its own.
    since = f"{ago(reported['since'], now)} ago: " if run.source == "guard" and "since" in reported else ""
    present = standing(found, reported)
    then = since + (run.because or str(reported.get("because", "")))
    return columns, "\n  ".join(one_line(each) for each in (then, present) if each)


def _phase(found: View, reported: Mapping[str, Any]) -> str:
    """In brackets where it is only thought of."""
    phase = str(reported.get("phase", ""))
    return f"({phase})" if phase and found.guard.mode == "observing" else phase


def _other_line(reported: Mapping[str, Any], now: float) -> tuple[tuple[str, ...], str]:
    phase, since = str(reported.get("phase", "")), ago(reported.get("since"), now)
    run_id = reported.get("run_id")
    # Whoever has ended, or never asks, is told nothing.
    return (named(reported, run=False), str(run_id or ""), "", phase, since, "", ""), one_line(
        str(reported.get("because", ""))
    )


def _history(run: RunSeen) -> tuple[str, ...]:
    rolled = f"rollback: {run.rollback_outcome or 'begun, its end is unknown'}" if run.rollback_claimed else ""
    barred = f"may not run again: {run.barred_because}" if run.barred_because else ""
    ended = run.ended_wall if run.ended_wall is not None else run.last_seen_wall
    said = "; ".join(part for part in (run.outcome_detail, rolled, barred, run.note) if part)
    took = ago(run.registered_wall, ended)
    told = run.outcome or (f"running ({run.told})" if run.here else "gone")
    return (str(run.run_id), run.migration, at(run.registered_wall), took, str(run.rows_done), told, said)


COMMANDS: dict[str, Callable[..., Any]] = {"status": status, "runs": runs_command, "explain": explain}
