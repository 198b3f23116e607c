"""Opens one connection to one host and greets it: it leads straight to PostgreSQL, and the session is set up.

It keeps nothing open and tries nothing twice; when to try again is the door's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from guard.errors import Unreachable, WrongServer
from guard.postgres.address import addresses, parse
from guard.postgres.line import APPLICATION, LINE
from guard.postgres.trouble import Connection, Naming, bury_connect

_BY_ITSELF_NEVER = 1 << 31
"""Runs after which the driver prepares a statement untold. None would mean that it may not even when it is told."""

Later = Callable[[Coroutine[Any, Any, None]], None]
"""Takes work that nobody waits for."""


class Opening:
    """How the sessions of a door come to be. *settings* are theirs. Raises WorldError for an unreadable *conninfo*."""

    def __init__(self, conninfo: str, purpose: str, settings: Mapping[str, str]) -> None:
        self._purpose = purpose
        self._settings = settings
        given = parse(conninfo, purpose)
        self.host = addresses(conninfo, purpose)[0].name
        """The first host, for people."""
        self.naming = Naming(purpose, given)
        self._conninfo = self._completed(given)

    def _completed(self, given: Mapping[str, Any]) -> str:
        own = {"application_name": APPLICATION + self._purpose, "client_encoding": "UTF8"}
        return make_conninfo("", **{**LINE, **given, **own})

    async def open(self, end: float, later: Later, conninfo: str | None = None) -> Connection:
        """A connection by the loop's time *end*, to *conninfo* where that is not the door's own. Raises Unreachable."""
        target = self._conninfo if conninfo is None else self._completed(parse(conninfo, self._purpose))
        connect = psycopg.AsyncConnection.connect(target, autocommit=True, prepare_threshold=_BY_ITSELF_NEVER)
        task = asyncio.ensure_future(connect)
        try:
            done, _ = await asyncio.wait({task}, timeout=max(0.0, end - asyncio.get_running_loop().time()))
        except asyncio.CancelledError:
            later(bury_connect(task))
            raise
        if not done:
            later(bury_connect(task))
            raise Unreachable(f"{self._purpose}: connecting to PostgreSQL took too long.")
        try:
            return task.result()
        except psycopg.Error as error:
            # No sqlstate: the driver has none for any failure to connect. No cause: its text is not redacted.
            words = self.naming.redacted(error)
            raise Unreachable(f"{self._purpose}: no connection to PostgreSQL: {words}") from None

    async def greet(self, connection: Connection) -> None:
        """Set the session up. Raises WrongServer behind a pooler, psycopg.Error."""
        cursor = await connection.execute("select pg_backend_pid()")
        if await cursor.fetchone() != (connection.info.backend_pid,):
            # Found out before anything is set: behind a pooler our timeouts would stay on the application's sessions.
            raise WrongServer(
                f"{self._purpose}: the connection leads through a connection pooler; "
                "the guard needs one that leads straight to PostgreSQL."
            )
        await connection.execute(
            "select set_config(s.name, s.value, false) from unnest(%s::text[], %s::text[]) as s (name, value)",
            [list(self._settings), list(self._settings.values())],
        )
