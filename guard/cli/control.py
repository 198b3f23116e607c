"""pause, resume, abort, override, mute, forget, wait: what people order. They work with a dead guard as well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from guard.cli.explaining import without_guard
from guard.cli.seen import View, view
from guard.cli.where import Config, Database, Dsn, Owner, Target, ask, owner_of, target
from guard.cli.words import at, duration
from guard.decide.bounds import FLAP_BREAKER
from guard.exits import Exit
from guard.model import EVERYONE
from guard.sql import get

PARDON = "5m"
"""For so long no pause is counted after a resume: the guard has to hear of it, and the migration to come to work."""
Name = Annotated[str, typer.Argument(help="The migration, or '*' for every one.")]
One = Annotated[str, typer.Argument(help="The migration.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stands in what everybody is told.")]
For = Annotated[str | None, typer.Option("--for", metavar="DURATION", show_default="for ever", help="Such as 30m.")]
Hour = Annotated[str, typer.Option("--for", metavar="DURATION", help="How long, such as 30m.")]
End = Annotated[bool, typer.Option("--end", help="Take it back instead.")]


def pause(
    name: Name,
    reason: Reason,
    for_: For = None,
    owner: Owner = None,
    config: Config = None,
    database: Database = None,
    dsn: Dsn = None,
) -> None:
    """Hold a migration before its next batch, until resumed or for a time."""
    where = target(config, database, dsn)
    _order(where, "pause", name, owner=owner, reason=reason, for_=for_)
    found = ask(where, lambda door: view(door, None))
    _say_what_overrides(found, name)
    _say_if_nobody_runs(found, name)
    typer.echo(f"To take it back: migration-guard resume {_quoted(name)}")


def resume(name: Name, owner: Owner = None, config: Config = None, database: Database = None, dsn: Dsn = None) -> None:
    """Take back a pause, an operator's or one that came too often, and say what else holds the migration."""
    where = target(config, database, dsn)
    _withdraw(where, "pause", name, owner_of(owner))
    found = ask(where, lambda door: view(door, None if name == EVERYONE else name))
    for migration in [each for each in found.stay_paused if name in (EVERYONE, each)]:
        _order(where, "mute", migration, owner=owner, reason="resumed", for_=PARDON, rule=FLAP_BREAKER)
        typer.echo(f"{migration} goes on once every rule is well; its earlier pauses count no more.")
    _say_what_holds(found, name)


def abort(
    name: Name,
    reason: Reason,
    for_: For = None,
    owner: Owner = None,
    config: Config = None,
    database: Database = None,
    dsn: Dsn = None,
) -> None:
    """Tell a migration to end at its next checkpoint; it may not run again until `forget`."""
    where = target(config, database, dsn)
    before = ask(where, lambda door: view(door, None))  # the run may end at once
    _order(where, "abort", name, owner=owner, reason=reason, for_=for_)
    _say_if_nobody_runs(before, name)
    typer.echo(f"To let it run again: migration-guard forget {_quoted(name)}")


def override(
    name: Name,
    reason: Annotated[str, typer.Option("--reason", show_default=False, help="Why.")] = "",
    for_: Hour = "1h",
    end: End = False,
    owner: Owner = None,
    config: Config = None,
    database: Database = None,
    dsn: Dsn = None,
) -> None:
    """Let a migration go on whatever the rules say, and without a guard. An abort still holds."""
    where = target(config, database, dsn)
    if end:
        _withdraw(where, "override", name, owner_of(owner))
        return
    _need(reason)
    _order(where, "override", name, owner=owner, reason=reason, for_=for_)
    _say_if_nobody_runs(ask(where, lambda door: view(door, None)), name)
    typer.echo(f"To take it back: migration-guard override {_quoted(name)} --end")


def mute(
    rule: Annotated[str, typer.Argument(help="The rule's name in the configuration file.")],
    reason: Annotated[str, typer.Option("--reason", show_default=False, help="Why.")] = "",
    for_: Hour = "1h",
    migration: Annotated[str, typer.Option("--migration", help="Only for this migration.")] = EVERYONE,
    end: End = False,
    owner: Owner = None,
    config: Config = None,
    database: Database = None,
    dsn: Dsn = None,
) -> None:
    """Do not listen to one rule for a time."""
    where = target(config, database, dsn)
    if where.settings is not None and rule not in (known := [each.name for each in where.settings.rules]):
        raise typer.BadParameter(f"there is no rule {rule!r}; there is {', '.join(known)}")
    if end:
        values = {"owner": owner_of(owner), "migration": migration, "rule": rule}
        count = ask(where, lambda door: door.fetch(get("cli_unmute"), values))[0][0]
        typer.echo(f"{where.name}: rule {rule} is listened to again." if count else f"Rule {rule} was not muted.")
        return
    _need(reason)
    _order(where, "mute", migration, owner=owner, reason=reason, for_=for_, rule=rule)
    typer.echo(f"To take it back: migration-guard mute {_quoted(rule)} --end")


def forget(name: One, owner: Owner = None, config: Config = None, database: Database = None, dsn: Dsn = None) -> None:
    """Let a migration that was aborted or rolled back run again."""
    where = target(config, database, dsn)
    values = {"name": name, "owner": owner_of(owner)}
    upto, withdrawn = ask(where, lambda door: door.fetch(get("cli_forget"), values))[0]
    taken_back = f", and {withdrawn} abort{'s' * (withdrawn != 1)} taken back" if withdrawn else ""
    typer.echo(f"{where.name}: {name} may run again; forgotten up to run {upto}{taken_back}.")


def wait(
    name: One,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="DURATION", show_default="for ever", help="Such as 10m.")
    ] = None,
    config: Config = None,
    database: Database = None,
    dsn: Dsn = None,
) -> None:
    """Return when a migration may go on: for scripts, between two steps. Exits 4 where it is aborted, 75 in the end."""
    import psycopg

    from guard.client import Aborted, AlreadyRunning, GuardLost, Paused, wait_for_proceed
    from guard.errors import Unreachable

    seconds = None if timeout is None else duration(timeout)
    where = target(config, database, dsn)
    try:
        with psycopg.connect(where.conninfo, autocommit=True, connect_timeout=5) as connection:
            wait_for_proceed(connection, name, seconds, on_wait=lambda words: typer.echo(words, err=True))
    except Aborted as told:
        typer.echo(str(told), err=True)
        raise typer.Exit(Exit.ABORTED) from None
    except (Paused, GuardLost, AlreadyRunning) as told:
        typer.echo(str(told), err=True)
        raise typer.Exit(Exit.LATER) from None
    except psycopg.errors.UndefinedTable:
        raise Unreachable("The schema migration_guard is not there; run: migration-guard install") from None
    except psycopg.Error as wrong:
        # The driver's words on a failed connection may hold the connection string.
        said = wrong.diag.message_primary or "no connection to PostgreSQL, or it broke"
        raise Unreachable(f"{where.name}: {said}") from None


def _order(
    where: Target, kind: str, name: str, *, owner: str | None, reason: str, for_: str | None, rule: str | None = None
) -> None:
    values = {
        "kind": kind,
        "migration": name,
        "rule": rule,
        "owner": owner_of(owner),
        "reason": reason,
        "seconds": None if for_ is None else duration(for_),
    }
    order_id, until = ask(where, lambda door: door.fetch(get("cli_order"), values))[0]
    for_whom = "every migration" if name == EVERYONE else name
    of_rule = f' of rule "{rule}"' if rule else ""
    until_words = f" until {at(until)}" if until is not None else ""
    typer.echo(f"{where.name}: order {order_id}: {kind}{of_rule} for {for_whom}{until_words}.")


def _withdraw(where: Target, kind: str, name: str, owner: str) -> None:
    count = ask(where, lambda door: door.fetch(get("cli_withdraw"), [name, kind, owner]))[0][0]
    plural = "" if count == 1 else "s"
    none = f"{where.name}: no operator's {kind} of {name} stood."
    typer.echo(f"{where.name}: {count} {kind}{plural} of {name} taken back." if count else none)


def _say_what_holds(found: View, name: str) -> None:
    held = [run for run in found.runs if run.told != "proceed"]
    for run in held:
        by = "an operator" if run.source == "operator" else "the guard" if run.source == "guard" else "the server"
        says = "" if run.told == "lost" else f", says {by}: {run.told}"
        typer.echo(f"{run.migration} (run {run.run_id}) still holds{says}: {run.because}")
    for order in found.orders:
        if order.kind == "pause" and order.migration != name:
            typer.echo(f"The pause of every migration still stands: migration-guard resume '{order.migration}'")
    if not found.guard.works:
        typer.echo(f"{found.guard.words}.")
        without_guard(name)
    elif not held and found.runs:
        typer.echo("It goes on.")


def _say_what_overrides(found: View, name: str) -> None:
    for order in found.orders:
        if order.kind == "override" and (EVERYONE in (name, order.migration) or order.migration == name):
            typer.echo(
                f"It holds nobody whom the override of {order.migration} by {order.owner} lets go on; to end that: "
                f"migration-guard override {_quoted(order.migration)} --end"
            )


def _say_if_nobody_runs(found: View, name: str) -> None:
    """An order may come before its migration; one for a misspelt name would pass for obeyed."""
    if name != EVERYONE and all(run.migration != name for run in found.runs):
        typer.echo(f"No run of {name} is registered now: it holds for the next one.")


def _need(reason: str) -> None:
    if not reason.strip():
        raise typer.BadParameter("say why: --reason TEXT")


def _quoted(name: str) -> str:
    import shlex

    return shlex.quote(name)


COMMANDS: dict[str, Callable[..., Any]] = {
    "pause": pause,
    "resume": resume,
    "abort": abort,
    "override": override,
    "mute": mute,
    "forget": forget,
    "wait": wait,
}
