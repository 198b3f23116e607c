"""Whether a rollback has had its effect: one query of the administrator's own, read-only, by the guard's role.

An exit code of 0 says that the hook thinks so; the database says what is. Nothing is decided here.
"""

from __future__ import annotations

from guard.errors import GuardError
from guard.postgres import Hosts

DEADLINE = 15.0
"""Seconds for all of it. A look at a catalog or a count by index takes less; anything longer is no verification."""


class Verification:
    """Asks on a connection of its own, which is opened when it is needed; implements guard.ports.Verifier."""

    def __init__(self, conninfo: str, query: str) -> None:
        self._conninfo = conninfo
        self._query = query

    async def doubt(self) -> str:
        """Why the rollback cannot be taken as done; empty where the query has answered true. Never raises for it."""
        hosts = Hosts(self._conninfo)
        door = hosts.door(
            "verify",
            deadline=DEADLINE,
            statement_timeout_ms=int(DEADLINE * 1000) - 2000,
            lock_timeout_ms=2000,
            settings={"default_transaction_read_only": "on"},
        )
        try:
            # The administrator's own words, from a file that only they can write.
            rows = await door.fetch(self._query.encode())
        except GuardError as error:
            return f"the verifying query failed: {error}"
        finally:
            await door.close()
            await hosts.close()
        if len(rows) != 1:
            return f"the verifying query returned {len(rows)} rows where one value was expected"
        if len(rows[0]) != 1:
            return f"the verifying query returned a row of {len(rows[0])} columns where one value was expected"
        return "" if rows[0][0] is True else f"the verifying query returned {_said(rows[0][0])}, not true"


def _said(value: object) -> str:
    if value is None:
        return "NULL"
    return "false" if value is False else f"a value of type {type(value).__name__}"
