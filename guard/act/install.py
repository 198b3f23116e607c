"""Makes, upgrades and removes schema migration_guard, or prints the SQL for a DBA to review.

An upgrade is the same script once more, in one transaction: it makes what is not there yet, replaces the functions,
keeps every row, and locks no table that a guard or a migration uses.
It grants nothing that only a superuser may grant: those lines are printed. It never touches a table of the application.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg

from guard.errors import NotInstalled, NotPermitted, QueryFailed, ServerError, Unreachable, WorldError, WrongServer
from guard.postgres.address import addresses
from guard.postgres.trouble import Naming
from guard.sql import get, script

__all__ = [
    "DBA_LINES",
    "PROTOCOL",
    "VERSION",
    "Installation",
    "connect",
    "install",
    "install_sql",
    "uninstall",
    "wrapped",
]

VERSION = 2
"""Of the schema."""
PROTOCOL = 1
"""Of what guard and migrations say to each other."""

NEWS = (
    (2, "table fence; functions declare_fence, lift_fence, unfence, is_fenced; procedure fence"),
    (2, "function let_finish"),
    (2, "function unreplayed"),
    (2, "table backfill, and functions begin_, lock_, expect_, move_, pass_ and end_backfill"),
)
"""What each version has added, for people."""

DBA_LINES = (
    "grant pg_monitor to migration_guard_guard;  -- without it PostgreSQL hides other sessions and all replication lag",
    "grant pg_signal_backend to migration_guard_guard;  -- to cancel a migration that blocks the application",
)
"""Lines for a superuser (or, from PostgreSQL 16 on, a role with ADMIN on the granted roles)."""

Connection = psycopg.Connection[tuple[Any, ...]]
_BODY = (
    "schema",
    "functions_client",
    "functions_statements",
    "functions_fence",
    "functions_pace",
    "functions_backfill",
    "functions_operator",
    "functions_guard",
)
_MARK = "/*unlogged*/"
_LOCK_TIMEOUT = "set local lock_timeout = '1s'"
_LOCK_NOT_AVAILABLE = "55P03"
_AGAIN_AFTER = 0.5


@dataclass(frozen=True, slots=True)
class Installation:
    """What install() found and did."""

    made: bool
    """False: it was there, and its functions and grants were brought up to date."""
    upgraded_from: int | None = None
    """The version that it was of, where that was an earlier one."""
    restamped: bool = False
    granted: bool = True
    """False: the group roles do not exist, so that only the owner may use the schema."""
    dba_lines: tuple[str, ...] = DBA_LINES


def install(
    conninfo: str,
    *,
    roles: bool = True,
    unlogged: bool = False,
    subscribers_prepared: bool = False,
    restamp: bool = False,
    patience: float = 0.0,
    tell: Callable[[str], None] = lambda _: None,
) -> Installation:
    """Make the schema, or bring it up to date, in one transaction that waits at most 1 s for a lock.

    Where it waited in vain it is tried anew for *patience* seconds; *tell* hears each time who is in the way.
    *roles* makes the three group roles (needs CREATEROLE). *unlogged* makes every table UNLOGGED, so that no
    publication carries it; operators' orders and the audit trail then do not survive a crash. *subscribers_prepared*
    says that the subscribers of FOR ALL TABLES publications have the schema too. *restamp* empties a schema that came
    with a copy of another database and gives it to this one.

    Raises WrongServer on a standby or for a copied schema, NotInstalled where a newer version is there, WorldError for
    a publication FOR ALL TABLES, ServerError.
    """
    made = _Wanted(roles, unlogged, subscribers_prepared, restamp)
    with connect(conninfo) as connection, wrapped():
        end = time.monotonic() + patience
        while True:
            try:
                return _install(connection, made)
            except psycopg.errors.LockNotAvailable as busy:
                words = "; ".join(["it waits for a lock", *_in_the_way(connection)])
                if time.monotonic() >= end:
                    raise QueryFailed(f"{busy.diag.message_primary}: {words}", busy.sqlstate) from busy
                tell(f"{words}; it is tried again")
                time.sleep(_AGAIN_AFTER)


@dataclass(frozen=True, slots=True)
class _Wanted:
    roles: bool
    unlogged: bool
    subscribers_prepared: bool
    restamp: bool


def _install(connection: Connection, wanted: _Wanted) -> Installation:
    with connection.transaction():
        connection.execute(_LOCK_TIMEOUT)
        connection.execute(get("install_lock"))
        there, publications, roles_there = _look(connection)
        if publications and not (wanted.unlogged or wanted.subscribers_prepared):
            names = ", ".join(publications)
            raise WorldError(
                f"Publication {names} is FOR ALL TABLES: its subscribers would stop at the first write to a table that "
                "they do not have. Install with --unlogged, or make the schema on the subscribers first "
                "(migration-guard install --print) and say --subscribers-prepared."
            )
        before, restamped = _check_stamp(connection, restamp=wanted.restamp) if there else (None, False)
        for part in _BODY:
            connection.execute(_tables(script(part), unlogged=wanted.unlogged))
        if wanted.roles:
            connection.execute(script("roles"))
        granted = wanted.roles or roles_there
        if granted:
            connection.execute(script("grants"))
        if restamped:
            connection.execute(get("install_restamp"))
        connection.execute(get("install_stamp"))
        earlier = before if before is not None and before < VERSION else None
        return Installation(made=not there, upgraded_from=earlier, restamped=restamped, granted=granted)


def _in_the_way(connection: Connection) -> list[str]:
    return [words for (words,) in connection.execute(get("install_blockers"))]


def install_sql(*, roles: bool = True, unlogged: bool = False) -> str:
    """The whole of install() as a script for psql, upgrades too, without its look at publications."""
    parts = [get("install_lock") + ";\n", script("refusals")]
    parts += [_tables(script(part), unlogged=unlogged) for part in _BODY]
    if roles:
        parts += [script("roles"), script("grants")]
    parts.append(_commented("install_stamp") + ";\n")
    dba = "".join(f"--   {line}\n" for line in DBA_LINES)
    news = "".join(f"--   version {version}: {what}\n" for version, what in NEWS)
    head = (
        f"-- migration-guard, schema version {VERSION}: makes it, or upgrades an earlier version to it.\n"
        "-- An upgrade keeps every row and locks no table that a guard or a migration uses. It adds to version 1:\n"
        f"{news}-- For a superuser, once the roles are there:\n{dba}"
    )
    return head + f"\nbegin;\n{_LOCK_TIMEOUT};\n\n" + "\n".join(parts) + "\ncommit;\n"


def uninstall(conninfo: str, *, force: bool = False) -> bool:
    """Remove the schema; False where there was none. The roles stay, since other databases may use them.

    Raises WorldError while a guard leads this database, unless *force*; ServerError.
    """
    with connect(conninfo) as connection, wrapped(), connection.transaction():
        if not _look(connection)[0]:
            return False
        holder = None if force else connection.execute(get("control_holder")).fetchone()
        if holder is not None:
            raise WorldError(f"Guard {holder[1]} (pid {holder[0]}) leads this database: stop it first.")
        connection.execute(script("uninstall"))
        return True


def _look(connection: Connection) -> tuple[bool, list[str], bool]:
    row = connection.execute(get("install_look")).fetchone()
    assert row is not None  # noqa: S101 -- a select without a table always has a row
    recovery, there, publications, roles = row
    if recovery:
        raise WrongServer("This server is a standby: install on its primary.")
    return there, publications, roles


def _check_stamp(connection: Connection, *, restamp: bool) -> tuple[int | None, bool]:
    """Of which version the schema is, and whether it is to be taken over from another database."""
    row = connection.execute(get("control_installation")).fetchone()
    if row is None:  # an interrupted hand, or an unlogged schema after a crash
        return None, False
    version, protocol, database, ours = row
    if version > VERSION or protocol > PROTOCOL:
        raise NotInstalled(
            f"Schema migration_guard is of version {version}; this program knows up to {VERSION}. Upgrade the program."
        )
    if not ours and not restamp:
        raise WrongServer(
            f"Schema migration_guard came here with a copy of database {database}, and its rows speak of that one. "
            "Install with --restamp to empty it and give it to this database."
        )
    return version, not ours


def _tables(text: LiteralString, *, unlogged: bool) -> LiteralString:
    return text.replace(_MARK, "unlogged") if unlogged else text.replace(f"{_MARK} ", "")


def _commented(name: str) -> str:
    return f"-- Which database this is.\n{get(name)}"


def connect(conninfo: str) -> Connection:
    """A connection to install by, in autocommit. Raises Unreachable, which names no password."""
    own: dict[str, Any] = {"application_name": "migration_guard/install", "connect_timeout": 5}
    try:
        # Of several hosts the first that answers may be a standby.
        if "," in conninfo and len(addresses(conninfo, "install")) > 1:
            own["target_session_attrs"] = "primary"
        return psycopg.connect(conninfo, autocommit=True, **own)
    except psycopg.Error as error:
        raise Unreachable(f"No connection to PostgreSQL: {_safe(error, conninfo)}") from None


def _safe(error: psycopg.Error, conninfo: str) -> str:
    try:
        known = psycopg.conninfo.conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError:
        return "the connection string cannot be parsed"  # its own words may quote a password
    return Naming("install", known).redacted(error)


class wrapped:  # noqa: N801 -- a context manager that reads as a word
    """The driver's errors as ours."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, psycopg.Error):
            return
        text = error.diag.message_primary or " ".join(str(error).split())
        if error.sqlstate == "42501":
            raise NotPermitted(f"Not permitted: {text}", error.sqlstate) from error
        failure: type[ServerError] = Unreachable if error.sqlstate is None else QueryFailed
        raise failure(f"PostgreSQL refused: {text}", error.sqlstate) from error
