"""serve, check, install, uninstall, demo: making a guard work."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guard.cli import ddl_gate as gates
from guard.cli.where import Config, Database, Dsn, Target, settings_of, target
from guard.exits import Exit

if TYPE_CHECKING:
    from guard.act.install import Installation


def serve(config: Config = None) -> None:
    """Guard the databases of a configuration file until told to stop (SIGTERM); SIGHUP reads the file again."""
    import logging

    from guard.cli.where import DEFAULT
    from guard.daemon import serve as run

    # Under systemd the journal has the time already; a line is still whole without it.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # At INFO it logs the whole URL of each request, and there may be a token in it.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    raise typer.Exit(run(config or DEFAULT))


def check(
    config: Config = None,
    json: Annotated[bool, typer.Option("--json", help="A list of {grade, place, what, todo}.")] = False,
    file_only: Annotated[bool, typer.Option("--file-only", help="Only read the file; ask nobody.")] = False,
) -> None:
    """Check the file, then each server, privilege, standby, hook and source, and say what to do about each problem.

    It changes nothing and sends nothing. Exits 2 where the file is wrong, 3 where there is any problem, and 0 where
    there are warnings at most.
    """
    import asyncio

    from guard.check import Grade, examine
    from guard.cli.words import coloured, print_json

    settings = settings_of(config)
    if file_only:
        typer.echo(f"{settings.path}: the file is right")
        return
    remarks = asyncio.run(examine(settings))
    bad = sum(remark.grade is Grade.PROBLEM for remark in remarks)
    if json:
        print_json([{"grade": r.grade.value, "place": r.place, "what": r.what, "todo": r.todo} for r in remarks])
        raise typer.Exit(Exit.WORLD if bad else Exit.DONE)
    colours = {Grade.FINE: "green", Grade.WARNING: "yellow", Grade.PROBLEM: "red"}
    for remark in remarks:
        mark = coloured(f"{remark.grade.value:<7}", colours[remark.grade])
        typer.echo(f"{mark}  {remark.place}: {remark.what}")
        if remark.todo:
            typer.echo(f"         → {remark.todo}")
    warnings = sum(remark.grade is Grade.WARNING for remark in remarks)
    typer.echo(f"\n{settings.path}: {_count(bad, 'problem')}, {_count(warnings, 'warning')}")
    raise typer.Exit(Exit.WORLD if bad else Exit.DONE)


def install(
    config: Config = None,
    database: Database = None,
    dsn: Dsn = None,
    print_: Annotated[bool, typer.Option("--print", help="Print the SQL for review; connect to nothing.")] = False,
    roles: Annotated[bool, typer.Option("--roles/--no-roles", help="Make the three group roles.")] = True,
    unlogged: Annotated[
        bool, typer.Option("--unlogged", help="Make every table UNLOGGED, so that no publication carries it.")
    ] = False,
    subscribers_prepared: Annotated[
        bool, typer.Option("--subscribers-prepared", help="Subscribers of FOR ALL TABLES have the schema too.")
    ] = False,
    restamp: Annotated[
        bool, typer.Option("--restamp", help="Empty a schema that came with a copy of another database.")
    ] = False,
    ddl_gate: gates.Wanted = False,
    role: gates.Roles = None,
    application_name: gates.Names = None,
    when_lost: gates.Lost = None,
) -> None:
    """Make the schema migration_guard in a database, or bring it up to date. It touches no table of yours.

    The role that installs needs CREATE on the database (and CREATEROLE, but for --no-roles): give it by --dsn. With
    --ddl-gate a schema that is there stays as it is.
    """
    from guard.act.ddl_gate import gate_sql
    from guard.act.install import install as make
    from guard.act.install import install_sql

    gate = gates.gate_of(config, role, application_name, when_lost, wanted=ddl_gate)
    if print_:
        typer.echo(gate_sql(gate) if gate else install_sql(roles=roles, unlogged=unlogged), nl=False)
        return
    where = target(config, database, dsn)
    if gate is not None and not restamp and gates.made(where, gate):
        return
    done = make(
        where.conninfo,
        roles=roles,
        unlogged=unlogged,
        subscribers_prepared=subscribers_prepared,
        restamp=restamp,
        patience=20.0,
        tell=lambda words: typer.echo(f"{where.name}: {words}", err=True),
    )
    _say_installed(where, done)
    if gate is not None:
        gates.made(where, gate)


def _say_installed(where: Target, done: Installation) -> None:
    what = "taken over from the copy, and emptied" if done.restamped else "made" if done.made else "brought up to date"
    if done.upgraded_from is not None:
        what = f"upgraded from version {done.upgraded_from}; restart the guard with this program"
    typer.echo(f"{where.name}: schema migration_guard {what}.")
    if not done.granted:
        typer.echo("The group roles are not there, so only the owner may use it; make them, then install again.")
        return
    typer.echo("For a superuser, once:")
    for line in done.dba_lines:
        typer.echo(f"  {line}")
    typer.echo("And who may use it:")
    for role, who in (("guard", "the role of the daemon"), ("client", "migrations"), ("operator", "people")):
        typer.echo(f"  grant migration_guard_{role} to ROLE;  -- {who}")


def uninstall(
    config: Config = None,
    database: Database = None,
    dsn: Dsn = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Even while a guard leads this database.")] = False,
    ddl_gate: Annotated[bool, typer.Option("--ddl-gate", help="Only the DDL gate.")] = False,
) -> None:
    """Remove the schema migration_guard from a database, with its history of runs and orders, and the DDL gate."""
    from guard.act.install import uninstall as remove

    where = target(config, database, dsn)
    if ddl_gate:
        gates.removed(where)
        return
    if not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter("there is nobody to ask: say --yes")
        if not typer.confirm(f"Remove the schema migration_guard and all its history from {where.name}?"):
            typer.echo("Nothing was removed.")
            return
    gone = remove(where.conninfo, force=force)
    typer.echo(
        f"{where.name}: " + ("schema migration_guard removed." if gone else "there was no schema migration_guard.")
    )


def demo(
    plain: Annotated[bool, typer.Option("--plain", help="Print lines instead of a live view.")] = False,
    without: Annotated[
        list[str] | None, typer.Option("--without", metavar="FAULT", help="Leave a fault out, to see the demo fail.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Keep the report of its migration as an HTML file.")
    ] = None,
) -> None:
    """Show it all on a PostgreSQL of its own, in half a minute: a pause, a released lock queue, a rollback."""
    from guard.demo.run import FAULTS, run

    if unknown := sorted(set(without or ()) - set(FAULTS)):
        raise typer.BadParameter(f"there is no fault {', '.join(unknown)}; there is {', '.join(FAULTS)}")
    if report is not None:
        from guard.cli.writing import refuse_others
        from guard.show.record_html import MARKER

        refuse_others(report, MARKER)
    raise typer.Exit(run(without=tuple(without or ()), plain=plain, report=report))


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}" + ("" if number == 1 else "s")


COMMANDS: dict[str, Callable[..., Any]] = {
    "serve": serve,
    "check": check,
    "install": install,
    "uninstall": uninstall,
    "demo": demo,
}
