"""Asks the database what the migration is told, on the migration's own connection while that is idle.

It does not wait and does not judge what follows: that is Migration's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import pq
from psycopg.rows import tuple_row

from guard.errors import NotInstalled, NotPermitted
from guard.sql import get

PROTOCOL = 1
_GONE = ("3F000", "42P01", "42883")  # no such schema, table, function
_SLOW = 1.0
"""Seconds after which an answer may have been overtaken while the process or the line stood still."""


@dataclass(frozen=True, slots=True)
class Answer:
    kind: str
    """`proceed`, `pause`, `abort` or `lost`."""
    because: str
    source: str = "server"
    epoch: int | None = None
    term: int | None = None
    beat: int | None = None
    mode: str | None = None
    remaining_ms: float | None = None
    protocol: int = PROTOCOL
    asked_at: float = 0.0
    """Monotonic seconds, before the question was sent: the answer is at least as new."""


class Line:
    """A psycopg connection that belongs to somebody else: used while it is idle, in autocommit, and left as it was."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    @property
    def status(self) -> pq.TransactionStatus:
        return self._connection.info.transaction_status

    @property
    def idle(self) -> bool:
        return self.status is pq.TransactionStatus.IDLE

    def give_up_transaction(self) -> None:
        """Roll back what a failed batch left open, so that the end of the run can be recorded.

        Else its session would still be known as the migration's, and be cancelled as such when it serves others.
        """
        if self.status in (pq.TransactionStatus.INTRANS, pq.TransactionStatus.INERROR):
            with suppress(psycopg.Error):
                self._connection.rollback()

    def pooled(self) -> bool:
        """Whether a transaction pooler stands between: the server's process is not the one that answered the login."""
        return bool(self.run("client_backend_pid")[0] != self._connection.info.backend_pid)

    def run(self, query: str, *params: object) -> tuple[Any, ...]:
        """The row of a query that has exactly one.

        Unprepared, since a pooler may hand the next question to another session. Raises psycopg.Error.
        """
        with self._autocommit():
            row = self._cursor().execute(get(query), params or None, prepare=False).fetchone()
        return row if row is not None else ()

    def run_apart(self, query: str, *params: object) -> tuple[Any, ...]:
        """As run(), inside the caller's open transaction, from which a failure takes nothing away."""
        with self._connection.transaction():
            return self.run(query, *params)

    def _cursor(self) -> psycopg.Cursor[tuple[Any, ...]]:
        return psycopg.Cursor(self._connection, row_factory=tuple_row)  # not the caller's own kind of cursor or row

    @contextmanager
    def _autocommit(self) -> Iterator[None]:
        if self._connection.autocommit or not self.idle:
            yield
            return
        self._connection.autocommit = True
        try:
            yield
        finally:
            if not self._connection.closed:
                self._connection.autocommit = False


class Asker:
    """Asks for one run, and believes a lease only by its own clock too.

    A guard's word counts from the second beat that is seen here, and each beat for no longer than it said when it was
    first seen, by this process's monotonic clock: neither a server whose clock jumps nor a copied row can prolong it.
    """

    def __init__(self, line: Line, name: str, run_id: int) -> None:
        self._line, self._name, self._run_id = line, name, run_id
        self._first: tuple[int | None, int | None] | None = None
        self._seen: tuple[int | None, int | None] | None = None
        self._seen_until = 0.0

    def ask(self) -> Answer:
        """One round trip; up to three where an answer took longer than a second."""
        answer = self._watched(self._read())
        for _ in range(2):
            if time.monotonic() - answer.asked_at < _SLOW:
                break
            answer = self._watched(self._read())
        return answer

    def good_until(self, answer: Answer, fresh_for: float) -> float:
        """Until when, in monotonic seconds, a `proceed` may be used again."""
        if answer.source == "guard":
            return min(answer.asked_at + fresh_for, self._seen_until)
        remaining = fresh_for if answer.remaining_ms is None else answer.remaining_ms / 1000
        return answer.asked_at + min(fresh_for, remaining)

    def _read(self) -> Answer:
        asked_at = time.monotonic()
        try:
            row = self._line.run("client_read", self._name, self._run_id)
        except psycopg.Error as error:
            if error.sqlstate not in _GONE:
                raise
            return Answer("lost", "schema migration_guard is gone from this database", asked_at=asked_at)
        return replace(Answer(*row), asked_at=asked_at)

    def _watched(self, answer: Answer) -> Answer:
        if answer.protocol != PROTOCOL:
            words = f"the database speaks protocol {answer.protocol}, this client {PROTOCOL}: upgrade the older"
            return replace(answer, kind="lost", because=words)
        if answer.source != "guard" or answer.remaining_ms is None:
            return answer
        beat = (answer.term, answer.beat)
        if beat != self._seen:
            self._seen, self._seen_until = beat, answer.asked_at + answer.remaining_ms / 1000
        self._first = self._first or beat
        if answer.kind != "proceed":
            return answer
        if answer.asked_at > self._seen_until:
            return replace(answer, kind="lost", because="the guard's beat has stood still by this machine's clock")
        if beat == self._first:
            return replace(answer, kind="pause", because="waiting to see the guard beat once")
        return answer


def register(line: Line, name: str, *, on_guard_lost: str, exclusive: bool) -> int:
    """Announce a run; its id. Raises NotInstalled, NotPermitted, and psycopg's ObjectInUse for a second run."""
    try:
        return int(line.run("client_register", name, on_guard_lost, exclusive, line.pooled(), PROTOCOL)[0])
    except psycopg.errors.InsufficientPrivilege as error:
        raise NotPermitted(
            "This role may not use schema migration_guard: grant migration_guard_client to it.", error.sqlstate
        ) from error
    except psycopg.Error as error:
        if error.sqlstate not in _GONE:
            raise
        raise NotInstalled("Schema migration_guard is not in this database: run migration-guard install.") from error
