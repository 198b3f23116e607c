"""One session of a migration: seen as it is now, ended, and what that has left behind. It chooses nobody."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from guard import sql
from guard.act.candidates import ACTIVE, Candidate, Measure
from guard.errors import NotPermitted, ServerError
from guard.model import Run, Session
from guard.ports import Ended
from guard.postgres import Door


@dataclass(frozen=True, slots=True)
class _Leftover:
    words: str


class Ender:
    """Ends sessions by their fingerprint, and remembers for *refused_for* seconds whom it may not end.

    *roles* and *patterns* (regular expressions of PostgreSQL) say who is a migration's.
    """

    def __init__(self, door: Door, refused_for: float) -> None:
        self._door = door
        self.roles: list[str] = []
        self.patterns: list[str] = []
        self._refused_for = refused_for
        self._refused: dict[tuple[int, dt.datetime], tuple[str, float]] = {}
        """What the server said to an attempt to end a session, and when, by the loop's time."""

    def recognise(self, roles: Sequence[str], application_names: Sequence[str]) -> None:
        """Take these for a migration's from now on."""
        self.roles = list(roles)
        self.patterns = [_pattern(name) for name in application_names]

    def refusals(self) -> dict[tuple[int, dt.datetime], str]:
        """What was said of whom it may not end, of late."""
        now = asyncio.get_running_loop().time()
        self._refused = {who: said for who, said in self._refused.items() if now - said[1] < self._refused_for}
        return {who: said for who, (said, _) in self._refused.items()}

    async def leftovers(self, relations: Sequence[int]) -> tuple[str, ...]:
        """What cancelled statements have left behind on these tables, each with the statement that mends it."""
        if not relations:
            return ()
        try:
            rows = await self._door.fetch_as(_Leftover, sql.get("cancel_leftovers"), {"relations": list(relations)})
        except ServerError:
            return ()
        return tuple(row.words for row in rows)

    async def session_of(self, run: Run, session: Session) -> Candidate | None:
        """A session of a run as it is now; None once it has gone or is the run's no more. Raises ServerError."""
        params: dict[str, Any] = {"pid": session.pid, "backend_start": session.backend_start_wall, "run_id": run.run_id}
        params |= {"roles": self.roles, "patterns": self.patterns}
        rows = await self._door.fetch_as(Candidate, sql.get("cancel_run"), params)
        return rows[0] if rows else None

    async def end(self, seen: Candidate, measure: Measure | None, *, terminate: bool) -> Ended:
        """Cancel, or terminate where asked or where a cancel would do nothing; not yet verified."""
        # An idle session has no statement to cancel: the server says true and does nothing.
        terminate = terminate or seen.state not in ACTIVE
        query = sql.get("cancel_session" if terminate else "cancel_query")
        params = {
            "pid": seen.pid,
            "backend_start": seen.backend_start,
            "query_start": seen.query_start,
            "usename": seen.usename,
            "application_name": seen.application_name,
            "state": seen.state,
            "whats": list(measure.whats) if measure else [],
            "waited": measure.waited if measure else 0.0,
        }
        session, how = seen.session(), "terminated" if terminate else "cancelled"
        try:
            hit = await self._door.fetch(query, params)
        except NotPermitted as error:
            said = (
                f"this role may not end it, since it belongs to a superuser or pg_signal_backend is missing ({error})"
            )
            self._refused[seen.identity] = (said, asyncio.get_running_loop().time())
            return Ended(session, "refused", gone=False, detail=said)
        except ServerError as error:
            return Ended(session, how, gone=False, detail=f"not known whether it took effect: {error}")
        if not hit:
            return Ended(session, "already gone", gone=True, detail="it had moved on or was fenced, or nobody waited")
        return Ended(session, how, gone=False)


def _pattern(name: str) -> str:
    """`migration:*` as a regular expression of PostgreSQL."""
    parts = (re.sub(r"([^A-Za-z0-9_ ])", r"\\\1", part) for part in name.split("*"))
    return f"^{'.*'.join(parts)}$"
