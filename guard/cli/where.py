"""Which database a command is for: by the configuration file, or by a connection string alone."""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from guard.errors import NotInstalled, NotPermitted, QueryFailed, ServerError, WorldError, WrongServer

if TYPE_CHECKING:  # pydantic and the driver take most of a second, which --help need not wait for
    from guard.postgres import Door
    from guard.settings import DatabaseSettings, Settings

T = TypeVar("T")

DEFAULT = Path("/etc/migration-guard/config.toml")
DSN = "MIGRATION_GUARD_DSN"

Config = Annotated[
    Path | None,
    typer.Option(
        "-c", "--config", envvar="MIGRATION_GUARD_CONFIG", show_default=str(DEFAULT), help="The configuration file."
    ),
]
Database = Annotated[
    str | None, typer.Option("--database", show_default="the only one", help="Its name in the configuration file.")
]
EachDatabase = Annotated[
    str | None, typer.Option("--database", show_default="each of the file", help="Its name in the configuration file.")
]
Dsn = Annotated[
    str | None,
    typer.Option(
        "--dsn",
        envvar=DSN,
        show_envvar=True,
        show_default=False,
        help="A connection string instead of a configuration file. Keep a password out of it (~/.pgpass, PGPASSWORD).",
    ),
]
Owner = Annotated[str | None, typer.Option("--owner", show_default="the OS user", help="Who orders this.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON; its keys stay as they are.")]


@dataclass(frozen=True, slots=True)
class Target:
    """One database to talk to."""

    name: str
    conninfo: str
    settings: Settings | None = None
    trouble: str = ""
    """Why there is no way to it, such as a credential that cannot be read; the others are asked all the same."""

    def __repr__(self) -> str:
        return f"Target({self.name!r})"


def settings_of(config: Path | None) -> Settings:
    """The configuration that was named, or the default one. Raises ConfigError; exits 2 where there is none."""
    from guard.settings import load

    path = config or DEFAULT
    if config is None and not path.exists():
        raise typer.BadParameter(f"there is no {path}: give -c FILE (or --dsn where the command has it)")
    return load(path)


def targets(config: Path | None, database: str | None, dsn: str | None) -> list[Target]:
    """Every database that the options speak of. Raises ConfigError."""
    # A file that was asked for on the command line wins over a DSN from the environment.
    if dsn is not None and not (config is not None and dsn == os.environ.get(DSN)):
        if dsn != os.environ.get(DSN):
            _warn_of_password(dsn)
        return [Target(_name_of(dsn), dsn)]
    settings = settings_of(config)
    known = [each.name for each in settings.databases]
    if database is not None and database not in known:
        raise typer.BadParameter(f"there is no [database.{database}]; there is {', '.join(known)}")
    chosen = [each for each in settings.databases if database in {None, each.name}]
    return [_target(each, settings) for each in chosen]


def _target(database: DatabaseSettings, settings: Settings) -> Target:
    try:
        return Target(database.name, database.conninfo(), settings)
    except WorldError as wrong:
        return Target(database.name, "", settings, trouble=str(wrong))


def target(config: Path | None, database: str | None, dsn: str | None) -> Target:
    """The one database that the options speak of; several are an error that lists them.

    Raises ConfigError, WorldError.
    """
    found = targets(config, database, dsn)
    if len(found) > 1:
        raise typer.BadParameter(f"say which --database: {', '.join(each.name for each in found)}")
    if found[0].trouble:
        raise WorldError(found[0].trouble)
    return found[0]


def ask(where: Target, work: Callable[[Door], Awaitable[T]]) -> T:
    """Do *work* with a connection, and name what is wrong in a person's words. Raises WorldError, ServerError."""

    from guard.postgres import Hosts

    if where.trouble:
        raise WorldError(where.trouble)

    async def run() -> T:
        hosts = Hosts(where.conninfo)
        door = hosts.door("cli", deadline=8.0, statement_timeout_ms=5000, lock_timeout_ms=3000)
        try:
            await door.connect()
            return await work(door)
        finally:
            await door.close()
            await hosts.close()

    try:
        return asyncio.run(run())
    except ServerError as wrong:
        raise plainly(where, wrong) from None


def plainly(where: Target, wrong: ServerError) -> WorldError | ServerError:
    """What is wrong with a database, in words that tell a person what to do about it."""
    # 42P01, 3F000, 42883: no such table, schema, function.
    if isinstance(wrong, QueryFailed) and wrong.sqlstate in {"42P01", "3F000", "42883"}:
        return NotInstalled(
            f"The schema migration_guard is not in database {where.name}, or of another version; "
            "run: migration-guard install"
        )
    if isinstance(wrong, QueryFailed):
        standby = f"The server of database {where.name} is a standby: give the primary's address."
        return WrongServer(standby) if wrong.sqlstate in {"25006", "0A000"} else wrong
    if isinstance(wrong, NotPermitted):
        return WorldError(
            f"{where.name}: {_bare(wrong)}. This role must be a member of "
            "migration_guard_operator (grant migration_guard_operator to ROLE), or give --dsn with one that is."
        )
    return type(wrong)(f"{where.name}: {_bare(wrong)}", wrong.sqlstate)


def owner_of(given: str | None) -> str:
    """The name under which an order is kept."""
    if given:
        return given
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        raise typer.BadParameter("this account has no name: give --owner NAME") from None


def _bare(error: Exception) -> str:
    return str(error).removeprefix("cli: ")


def _name_of(dsn: str) -> str:
    from psycopg.conninfo import conninfo_to_dict

    from guard.postgres.dsn import flaw_of

    if flaw := flaw_of(dsn):
        raise typer.BadParameter(f"--dsn {flaw}")
    return str(conninfo_to_dict(dsn).get("dbname") or "the default database")


def _warn_of_password(dsn: str) -> None:
    from psycopg.conninfo import conninfo_to_dict

    from guard.postgres.dsn import flaw_of

    if flaw_of(dsn) is None and conninfo_to_dict(dsn).get("password"):
        typer.echo(f"Every account of this machine can see the password in --dsn: use ~/.pgpass or {DSN}.", err=True)
