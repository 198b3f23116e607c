"""exec: a command of somebody else's under guard, from a fair start to the truth about how it ended."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from guard.cli.where import Dsn, targets
from guard.cli.words import duration
from guard.exits import Exit

if TYPE_CHECKING:
    from guard.client.migration import OnGuardLost

_LOST = ("wait", "proceed", "fail")
Duration = "DURATION"


def exec_(
    command: Annotated[list[str], typer.Argument(metavar="COMMAND", help="What to run, with its own options.")],
    name: Annotated[
        str | None, typer.Option("--name", show_default="that of the tool", help="The migration's name.")
    ] = None,
    dsn: Dsn = None,
    table: Annotated[
        list[str] | None,
        typer.Option("--table", metavar="SCHEMA.TABLE", help="Begin only when nobody holds a lock on it. Repeatable."),
    ] = None,
    repeatable: Annotated[
        bool, typer.Option("--repeatable", help="Running it again does what is missing, and nothing twice.")
    ] = False,
    verify: Annotated[
        str, typer.Option("--verify", metavar="SQL", help="A query that returns true where all is as it is to be.")
    ] = "",
    lock_timeout: Annotated[
        str, typer.Option("--lock-timeout", metavar=Duration, help="For each of its statements.")
    ] = "1s",
    grace: Annotated[
        str, typer.Option("--grace", metavar=Duration, help="For a statement at work when a pause is ordered.")
    ] = "2s",
    tries: Annotated[int, typer.Option("--tries", min=1, help="At most so many.")] = 10,
    max_stall: Annotated[str, typer.Option("--max-stall", metavar=Duration, help="Of all waiting together.")] = "1h",
    backoff: Annotated[
        str, typer.Option("--backoff", metavar="FROM..TO", help="Between two tries; it doubles.")
    ] = "5s..5m",
    on_guard_lost: Annotated[
        str, typer.Option("--on-guard-lost", metavar="|".join(_LOST), help="Without a guard.")
    ] = "wait",
) -> None:
    """Run COMMAND, which knows nothing of the guard: wait, hold it, cancel it on the server, try again, tell the truth.

    Connects as the command does: by --dsn, else DATABASE_URL, else PG* variables. Exits with 0 where it is done; 4
    aborted; 5 ended, but not shown to be done; 75 try again later; else with the command's own code.
    """
    from guard.client import AlreadyRunning
    from guard.exec.plan import Plan
    from guard.exec.retry import Limits
    from guard.exec.running import Running
    from guard.exec.tools import known

    if on_guard_lost not in _LOST:
        raise typer.BadParameter(f"--on-guard-lost is one of {', '.join(_LOST)}")
    if unnamed := [each for each in table or () if "." not in each]:
        raise typer.BadParameter(f"write --table with its schema, such as public.{unnamed[0]}")
    tool = known(command)
    if tool is not None and tool.refuses:
        raise typer.BadParameter(f"{tool.name}: {tool.refuses}")
    first, longest = _span(backoff)
    plan = Plan(
        name=name or _name_of(tool.name if tool else Path(command[0]).name),
        command=command,
        conninfo=_conninfo(dsn),
        given=dict(os.environ),
        tool=tool,
        lock_timeout=duration(lock_timeout),
        tables=table or (),
        grace=duration(grace),
        repeatable=repeatable,
        verify=verify,
        limits=Limits(tries=tries, stall=duration(max_stall), first=first, longest=longest),
        on_guard_lost=cast("OnGuardLost", on_guard_lost),
    )
    say = _say(plan.name)
    if tool is not None and tool.warns:
        say(tool.warns)
    try:
        code = Running(plan, say).run()
    except AlreadyRunning as told:
        say(str(told))
        raise typer.Exit(Exit.LATER) from None
    raise typer.Exit(code)


def _conninfo(dsn: str | None) -> str:
    from guard.exec.marks import conninfo_of
    from guard.postgres.dsn import flaw_of

    if dsn is not None:
        return targets(None, None, dsn)[0].conninfo
    found = conninfo_of(os.environ)
    # Where the rest of a password is read as the host, it would stand in what is said of the host.
    if flaw := flaw_of(found):
        raise typer.BadParameter(f"DATABASE_URL {flaw}")
    return found


def _say(name: str) -> Callable[[str], None]:
    def say(words: str) -> None:
        # A terminal that has gone away is no reason to leave what runs alone.
        with contextlib.suppress(OSError):
            typer.echo(f"migration-guard: {name}: {words.removeprefix(f'migration {name} ')}", err=True)

    return say


def _name_of(words: str) -> str:
    return "-".join(words.split())


def _span(text: str) -> tuple[float, float]:
    first, dots, longest = text.partition("..")
    span = duration(first), duration(longest if dots else first)
    if span[0] > span[1]:
        raise typer.BadParameter("--backoff goes from the shorter to the longer, such as 5s..5m")
    return span


COMMANDS: dict[str, Callable[..., Any]] = {"exec": exec_}
