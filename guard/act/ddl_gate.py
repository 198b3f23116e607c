"""Makes and removes the DDL gate: an event trigger that refuses DDL of a migration while it is paused.

Whom it holds is written into its function, so that a session of anybody else asks no table, and no lock on one can hold
it up. What the gate decides is SQL (guard/sql/ddl_gate.sql); the schema migration_guard is guard.act.install's.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal, get_args

import psycopg
from psycopg import sql

from guard.act.install import connect, wrapped
from guard.errors import NotInstalled, NotPermitted, WorldError, WrongServer
from guard.sql import get, script

__all__ = ["OFF", "VERSION", "DdlGate", "WhenLost", "gate_sql", "install_gate", "read_note", "remove_gate"]

VERSION = 1
"""Of the gate's functions."""
OFF = "alter event trigger migration_guard_ddl_gate disable"
"""The line that opens the gate for good, for a superuser. Event triggers do not fire for it."""

WhenLost = Literal["closed", "open"]
_TAG = "$migration_guard_gate$"
_WHO = (
    "The DDL gate is for a superuser to make, as every event trigger is: give --dsn of one, or have one run what "
    "migration-guard install --ddl-gate --print prints."
)
_LOCK_TIMEOUT = "set local lock_timeout = '1s'"


@dataclass(frozen=True, slots=True)
class DdlGate:
    """Whom the gate holds: sessions of *roles*, and where names are given (patterns with `*`), only those so named."""

    roles: tuple[str, ...]
    application_names: tuple[str, ...] = ()
    when_lost: WhenLost = "closed"
    """While no guard can say whether the migration may go on: `closed` refuses, `open` lets it go on with a NOTICE."""

    def __str__(self) -> str:
        named = f" named {' or '.join(self.application_names)}" if self.application_names else ""
        return f"{', '.join(self.roles) or 'nobody'}{named}"


def gate_sql(gate: DdlGate) -> str:
    """The gate as a script for psql, for a superuser, where schema migration_guard is there.

    Raises WorldError where no role is given, or a name cannot stand in a function.
    """
    return f"begin;\n{_LOCK_TIMEOUT};\n\n{_filled(gate)}\ncommit;\n"


def install_gate(conninfo: str, gate: DdlGate) -> tuple[str, ...]:
    """Make the gate, or make it anew: whatever it was, it is enabled then and holds whom *gate* says.

    Returns those of its roles that the server does not have: they may come yet, or be misspelt.

    Raises NotInstalled where schema migration_guard is missing, NotPermitted without a superuser's rights,
    WrongServer on a standby, WorldError as gate_sql(), ServerError.
    """
    text = _filled(gate)
    with connect(conninfo) as connection, wrapped():
        recovery, there, *_ = connection.execute(get("install_look")).fetchall()[0]
        if recovery:
            raise WrongServer("This server is a standby: install on its primary.")
        if not there:
            raise NotInstalled("The schema migration_guard is not there; run: migration-guard install")
        try:
            with connection.transaction():
                connection.execute(_LOCK_TIMEOUT)
                connection.execute(get("install_lock"))
                connection.execute(text.encode())
        except psycopg.errors.InsufficientPrivilege as refused:
            raise NotPermitted(f"Not permitted: {refused.diag.message_primary}. {_WHO}", refused.sqlstate) from refused
        missing = connection.execute(get("ddl_gate_strangers"), {"roles": list(gate.roles)}).fetchall()
    return tuple(role for (role,) in missing)


def remove_gate(conninfo: str) -> bool:
    """Remove the gate; False where there was none. Raises NotPermitted without a superuser's rights, ServerError."""
    with connect(conninfo) as connection, wrapped(), connection.transaction():
        if not connection.execute(get("ddl_gate_look")).fetchall():
            return False
        connection.execute(script("ddl_gate_off"))
        return True


def read_note(text: str | None) -> tuple[DdlGate, int] | None:
    """The gate and its version by what its installer noted in the database; None where that cannot be understood."""
    try:
        known = json.loads(text or "")
        gate = DdlGate(tuple(known["roles"]), tuple(known["application_names"]), known["when_lost"])
        version = int(known["version"])
    except (ValueError, KeyError, TypeError):
        return None
    return (gate, version) if gate.when_lost in get_args(WhenLost) else None


def _note(gate: DdlGate) -> str:
    return json.dumps(
        {
            "roles": gate.roles,
            "application_names": gate.application_names,
            "when_lost": gate.when_lost,
            "version": VERSION,
            "off": OFF,
        },
        ensure_ascii=False,
    )


def _filled(gate: DdlGate) -> str:
    if not gate.roles:
        raise WorldError("Say whose DDL the gate is to hold: roles in [migrations] of the file, or --role.")
    said = (*gate.roles, *gate.application_names)
    if any(_TAG in each or "\0" in each for each in said):
        raise WorldError(f"A name with {_TAG} or a zero byte cannot stand in the gate's function.")
    values = {
        "/*roles*/'{}'": gate.roles,
        "/*names*/'{}'": tuple(map(_like, gate.application_names)) or ("%",),
        "/*when_lost*/'closed'": gate.when_lost,
        "/*note*/''": _note(gate),
    }

    def literal(mark: re.Match[str]) -> str:
        value = values[mark[0]]
        return sql.Literal(value if isinstance(value, str) else list(value)).as_string(None)

    # In one pass: a name that looks like a mark stays a name.
    return re.sub("|".join(map(re.escape, values)), literal, script("ddl_gate"))


def _like(pattern: str) -> str:
    """`migration:*` as a pattern of LIKE."""
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%")
