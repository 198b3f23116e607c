"""The roles as they are shipped: what leads, migrates or gives orders in a test has no more rights than in production.

The superuser of the tests installs, breaks and looks on; it is never the guard, a client or an operator.
"""

from __future__ import annotations

from typing import Literal

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from guard.sql import script

Part = Literal["guard", "client", "operator"]
_RIGHTS: dict[Part, tuple[str, ...]] = {
    "guard": ("migration_guard_guard", "pg_monitor", "pg_signal_backend"),
    "client": ("migration_guard_client",),
    "operator": ("migration_guard_operator",),
}


def as_guard(dsn: str) -> str:
    """The superuser's way to a server as that of a guard; any other way is left as it is."""
    return _as(dsn, "guard")


def as_client(dsn: str) -> str:
    """As that of a migration."""
    return _as(dsn, "client")


def as_operator(dsn: str) -> str:
    """As that of a person who gives orders."""
    return _as(dsn, "operator")


def _as(dsn: str, part: Part) -> str:
    given = conninfo_to_dict(dsn)
    if given.get("user") != "postgres":
        return dsn
    with psycopg.connect(dsn, autocommit=True, application_name="embedded") as admin:
        if admin.execute("select pg_is_in_recovery()").fetchone() == (True,):
            return dsn  # whom a standby refuses it refuses as anybody, and a role that is new has not come there yet
        admin.execute(script("roles"))
        role = f"shipped_{part}"
        if admin.execute("select from pg_roles where rolname = %s", [role]).fetchone() is None:
            name = sql.Identifier(role)
            admin.execute(sql.SQL("create role {} login password {}").format(name, str(given["password"])))
            rights = sql.SQL(", ").join(map(sql.Identifier, _RIGHTS[part]))
            admin.execute(sql.SQL("grant {} to {}").format(rights, name))
        if part == "client":  # what it changes is its own
            admin.execute("grant create on schema public to shipped_client")
    return make_conninfo(dsn, user=role)
