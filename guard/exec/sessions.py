"""What a command does on the server, seen and ended through a connection of its own role.

A role sees its own sessions in full and may end them without any grant. It decides nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row

from guard.act.blockers import Root
from guard.sql import get

Connection = psycopg.Connection[Any]
ACTIVE = ("active", "fastpath function call")


@dataclass(frozen=True, slots=True)
class Seen:
    """One session of the command, at one statement."""

    pid: int
    backend_start: dt.datetime
    query_start: dt.datetime | None
    state: str
    queued: bool
    """It waits for a lock."""
    seconds: float
    """Since its statement began."""
    xid: int | None
    """Of the transaction that has written something."""
    gentle: str
    """What it is by its words, where it is to be let finish; else empty."""

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    @property
    def busy(self) -> bool:
        """A statement or a transaction of it is open."""
        return self.state != "idle"

    @property
    def identity(self) -> tuple[int, dt.datetime]:
        return self.pid, self.backend_start

    @property
    def words(self) -> str:
        what = f"at a statement for {self.seconds:.1f} s" if self.active else self.state or "in a state not to be seen"
        return f"session {self.pid}, {what}"


@dataclass(frozen=True, slots=True)
class Blocker:
    """Whom a statement waits for in the end."""

    words: str
    transactions: tuple[str, ...]
    """Theirs when they were seen; () where that cannot be known, as of a prepared transaction."""


@dataclass(frozen=True, slots=True)
class Holder:
    """One that holds a lock on a table."""

    transaction: str
    pid: int
    table: str
    usename: str
    application_name: str
    state: str
    prepared: str

    @property
    def words(self) -> str:
        if self.pid == 0:
            return f"prepared transaction {self.prepared or 'that is not to be seen from here'} holds {self.table}"
        who = ", ".join(filter(None, (self.usename or "a worker of the server", self.application_name, self.state)))
        return f"session {self.pid} ({who}) holds {self.table}"


class Sessions:
    """The sessions that bear the mark of *connection*'s own name, in its role and database.

    Every method raises psycopg.Error.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def look(self) -> list[Seen]:
        """All of them, as they are now."""
        with self._connection.cursor(row_factory=class_row(Seen)) as cursor:
            return cursor.execute(get("exec_look"), prepare=False).fetchall()

    def now(self) -> dt.datetime:
        """The server's time."""
        moment: dt.datetime = self._one("exec_now")[0]
        return moment

    def unmarked(self, since: dt.datetime) -> tuple[int, str]:
        """How many sessions of the same role have begun since without the mark, and what they call themselves."""
        count, names = self._one("exec_unmarked", since)
        return int(count), str(names)

    def cancel(self, seen: Seen) -> bool:
        """Cancel that statement; False where the session has moved on, and was left alone."""
        return self._end("exec_cancel", seen)

    def terminate(self, seen: Seen) -> bool:
        """End the session, if it is still at what it was seen at."""
        return self._end("exec_terminate", seen)

    def end_all(self) -> int:
        """End every one of them; how many there were."""
        return int(self._one("exec_end_all")[0])

    def blocker(self, seen: Seen) -> Blocker | None:
        """Whom it waits for in the end; None where for nobody by now."""
        with self._connection.cursor(row_factory=class_row(Root)) as cursor:
            roots = cursor.execute(get("cancel_root"), {"pid": seen.pid}, prepare=False).fetchall()
        if not roots:
            return None
        pids = [root.pid for root in roots]
        transactions = () if 0 in pids else tuple(self._one("exec_transactions", pids)[0])
        return Blocker("; ".join(root.words({seen.pid}) for root in roots), transactions)

    def over(self, blocker: Blocker) -> bool:
        """Whether it has let go for sure."""
        return bool(blocker.transactions) and bool(self._one("exec_over", list(blocker.transactions))[0])

    def committed(self, xids: Collection[int]) -> bool:
        """Whether one of these transactions has not been taken back."""
        return bool(xids) and bool(self._one("exec_committed", sorted(xids))[0])

    def holders(self, tables: Sequence[str]) -> list[Holder]:
        """Who holds a lock on one of these tables, each named with its schema. A table that is not there has none."""
        relations = [oid for table in tables if (oid := self._one("exec_relation", table)[0]) is not None]
        with self._connection.cursor(row_factory=class_row(Holder)) as cursor:
            return cursor.execute(get("exec_holders"), [relations], prepare=False).fetchall()

    def missing(self, tables: Sequence[str]) -> list[str]:
        """Those of these tables that are not there."""
        return [table for table in tables if self._one("exec_relation", table)[0] is None]

    def leftovers(self) -> list[str]:
        """What cancelled statements have left behind in this database, each with the statement that mends it."""
        with psycopg.Cursor(self._connection) as cursor:
            return [str(row[0]) for row in cursor.execute(get("exec_leftovers"), prepare=False)]

    def told(self, name: str, since: dt.datetime) -> str:
        """What the guard has cancelled of the migration since a moment, in its words; empty where nothing."""
        return str(self._one("exec_told", name, since)[0] or "")

    def _end(self, query: str, seen: Seen) -> bool:
        keys = ("pid", "backend_start", "query_start", "state")
        params = {key: value for key, value in asdict(seen).items() if key in keys}
        return bool(self._row(query, params)[0])

    def _one(self, query: str, *params: object) -> tuple[Any, ...]:
        return self._row(query, list(params) or None)

    def _row(self, query: str, params: Any) -> tuple[Any, ...]:
        with psycopg.Cursor(self._connection) as cursor:
            row = cursor.execute(get(query), params, prepare=False).fetchone()
        return row if row is not None else ()


def named(sessions: Iterable[Seen]) -> str:
    """Sessions in words."""
    return "; ".join(each.words for each in sessions)
