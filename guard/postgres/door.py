"""One connection, kept open, with a hard deadline on every question.

It knows no table and no rule. Every error of the driver leaves as one of guard.errors.

The deadline stands outside the driver. A server process that is stopped, a line that drops packets or a
commit that waits for a lost synchronous standby answer to no server-side timeout, and cancelling a psycopg call
makes it ask that same silent server to cancel and wait for seconds more. So a question that is overdue has its
socket shut; the driver's call then ends by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg import pq
from psycopg.abc import Params, QueryNoTemplate
from psycopg.rows import class_row

from guard.errors import DeadlineExceeded, ServerError, Unreachable, WrongServer
from guard.postgres.address import Address
from guard.postgres.backoff import Arrivals, Backoff
from guard.postgres.company import Company
from guard.postgres.line import SESSION
from guard.postgres.opening import Opening
from guard.postgres.trouble import Connection, bury, shut

T = TypeVar("T")
Row = tuple[Any, ...]
Work = Callable[[Connection], Awaitable[T]]


class Route(Protocol):
    """Says to which of several hosts a door leads."""

    async def choose(self, door: Door, end: float) -> Address:
        """The host to connect to now, by the loop's time *end*. Raises Unreachable, WrongServer."""


class Door:
    """One connection, opened when first needed and kept, with a hard deadline on every question.

    *deadline* is in seconds and covers all of a call: waiting for the call before it, connecting, asking. *settings*
    are further settings of the session. *route* chooses among several hosts, each time anew. *backoff* says
    when to try again. Questions are sent unprepared, since most are asked seldom; see PreparedDoor for those of probes.

    Raises WorldError where *conninfo* cannot be parsed.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        purpose: str,
        deadline: float = 2.0,
        statement_timeout_ms: int = 1500,
        lock_timeout_ms: int = 300,
        settings: Mapping[str, str] | None = None,
        route: Route | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.purpose = purpose
        self.generation = 0
        """Grows with each new connection; what was true of a session is true of one generation."""
        self.on_connect: Work[None] | None = None
        """Runs on each new connection before anything else is asked."""
        self.company: Company | None = None
        """With which other doors it must lead to one server."""
        self._deadline = deadline
        timeouts = {"statement_timeout": f"{statement_timeout_ms}ms", "lock_timeout": f"{lock_timeout_ms}ms"}
        self._opening = Opening(conninfo, purpose, {**SESSION, **timeouts, **(settings or {})})
        self._route = route
        self._address: Address | None = None
        self._wanted: Address | None = None
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()
        self._backoff = backoff or Backoff(Arrivals())
        self._refused = False
        """It led to a server that must not be used, when it was tried last."""
        self._burials: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Door {self.purpose} {'open' if self.connected else 'closed'} generation={self.generation}>"

    # -- asking ----------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether there is a connection that has not been seen to break."""
        return self._connection is not None and not self._connection.closed

    @property
    def deadline(self) -> float:
        """Seconds after which a question is given up, where it says nothing else."""
        return self._deadline

    @property
    def host(self) -> str:
        """Where it leads, for people."""
        return self._address.name if self._address else self._opening.host

    @property
    def backend_pid(self) -> int | None:
        """The server process behind the connection; None while there is none."""
        return self._connection.info.backend_pid if self._connection is not None and self.connected else None

    @property
    def server_version(self) -> int:
        """As PostgreSQL numbers them: 170004 is 17.4; 0 while there is no connection."""
        return self._connection.info.server_version if self._connection is not None and self.connected else 0

    async def connect(self, *, at_once: bool = True) -> None:
        """Connect, now whatever the back-off says or else when it is due; does nothing where connected.

        Raises WrongServer behind a connection pooler, else ServerError.
        """
        if at_once:
            self._backoff.hurry()

        async def nothing(_: Connection) -> None:
            return None

        await self._in_turn(nothing, None)

    async def fetch(
        self, query: QueryNoTemplate, params: Params | None = None, *, deadline: float | None = None
    ) -> list[Row]:
        """Run one statement in autocommit mode; its rows, or [] where it returns none.

        Raises Unreachable, DeadlineExceeded (the outcome of a write is then unknown), NotPermitted, QueryFailed.
        While a back-off lasts it raises Unreachable at once. It never asks a second time by itself.
        """

        async def ask(connection: Connection) -> list[Row]:
            async with connection.cursor() as cursor:
                await self._execute(cursor, query, params)
                return await cursor.fetchall() if cursor.description else []

        return await self._ask(ask, deadline)

    async def fetch_as(
        self, row_type: type[T], query: QueryNoTemplate, params: Params | None = None, *, deadline: float | None = None
    ) -> list[T]:
        """As fetch(), each row as ``row_type(**columns)``."""

        async def ask(connection: Connection) -> list[T]:
            async with connection.cursor(row_factory=class_row(row_type)) as cursor:
                await self._execute(cursor, query, params)
                return await cursor.fetchall()

        return await self._ask(ask, deadline)

    async def _execute(self, cursor: psycopg.AsyncCursor[Any], query: QueryNoTemplate, params: Params | None) -> None:
        await cursor.execute(query, params)

    async def transact(self, work: Work[T], *, deadline: float | None = None) -> T:
        """Run *work* in one transaction; what it raises rolls back and passes through (psycopg's errors wrapped)."""

        async def ask(connection: Connection) -> T:
            async with connection.transaction():
                return await work(connection)

        return await self._ask(ask, deadline)

    async def notified(self, wait: float) -> list[str]:
        """Payloads of notifications on the channels that on_connect listens to; [] after *wait* seconds of none."""

        async def ask(connection: Connection) -> list[str]:
            return [notify.payload async for notify in connection.notifies(timeout=wait, stop_after=1)]

        return await self._ask(ask, wait + self._deadline)

    def lead_to(self, address: Address) -> None:
        """From now on lead to this host: let go of a connection to another one, and try at once.

        What is being asked on it fails as on a line that broke, and the server ends the session with its locks.
        """
        self._wanted = address
        if self._address == address:
            self._backoff.forget()
        else:
            self.let_go()

    def let_go(self) -> None:
        """Let go of the connection, and try at once to have another when asked."""
        self._backoff.forget()
        connection, self._connection = self._connection, None
        if connection is None:
            return
        shut(connection)
        self._later(self._close_when_free(connection))

    async def _close_when_free(self, connection: Connection) -> None:
        async with self._turn:  # whoever asks on it reads from it still
            await connection.close()

    async def close(self) -> None:
        """Close the connection. A later question opens a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
        if self._burials:
            await asyncio.wait(set(self._burials), timeout=2.0)

    # -- within the deadline ---------------------------------------------------------------------------

    async def _ask(self, work: Work[T], deadline: float | None) -> T:
        try:
            return await self._in_turn(work, deadline)
        except WrongServer as error:
            # Callers in the middle of their work are promised server errors only.
            raise Unreachable(str(error)) from error

    async def _in_turn(self, work: Work[T], deadline: float | None) -> T:
        end = asyncio.get_running_loop().time() + (self._deadline if deadline is None else deadline)
        try:
            async with asyncio.timeout_at(end):
                await self._turn.acquire()
        except TimeoutError:
            raise DeadlineExceeded(f"{self.purpose}: still busy with the question before.") from None
        try:
            connection = self._connection if self.connected else None
            if connection is None:
                connection = await self._reconnect(end)
            return await self._bounded(connection, work, end)
        finally:
            self._turn.release()

    async def _bounded(self, connection: Connection, work: Work[T], end: float) -> T:
        loop = asyncio.get_running_loop()
        asked = loop.time()
        task = asyncio.ensure_future(work(connection))
        try:
            done, _ = await asyncio.wait({task}, timeout=max(0.0, end - asked))
        except asyncio.CancelledError:
            self._abandon(connection, task)
            raise
        if not done:
            self._abandon(connection, task)
            raise DeadlineExceeded(
                f"{self.purpose}: no answer from PostgreSQL within {loop.time() - asked:.1f} s; connection given up."
            )
        try:
            return task.result()
        except psycopg.Error as error:
            raise self._opening.naming.wrapped(error, connection) from error
        finally:
            if connection.pgconn.transaction_status != pq.TransactionStatus.IDLE:
                self._connection = None
                await connection.close()

    def _abandon(self, connection: Connection, task: asyncio.Future[Any]) -> None:
        self._connection = None
        shut(connection)
        self._later(bury(connection, task))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        burial = asyncio.get_running_loop().create_task(work)
        self._burials.add(burial)
        burial.add_done_callback(self._burials.discard)

    # -- connecting ------------------------------------------------------------------------------------

    async def _reconnect(self, end: float) -> Connection:
        clock = asyncio.get_running_loop().time
        if left := self._backoff.left(clock()):
            kind = WrongServer if self._refused else Unreachable
            raise kind(f"{self._backoff.why} Trying again in {left:.1f} s.")
        try:
            self._address = await self._route.choose(self, end) if self._route else None
            target = self._address.conninfo if self._address else None
            connection = await self._opening.open(end, self._later, target)
            await self._greet_or_close(connection, end)
            if self._wanted not in (None, self._address):
                await connection.close()
                raise Unreachable(f"{self.purpose}: another host leads since a moment ago.")
        except (ServerError, WrongServer) as error:
            self._refused = isinstance(error, WrongServer)
            self._backoff.failed(clock(), str(error))
            raise
        self._backoff.arrived(clock())
        self.generation += 1
        self._connection = connection
        return connection

    async def _greet_or_close(self, connection: Connection, end: float) -> None:
        try:
            await self._bounded(connection, self._greet, end)
        except (DeadlineExceeded, asyncio.CancelledError):  # given up already; its question still reads from it
            raise
        except BaseException:
            await connection.close()
            raise

    async def _greet(self, connection: Connection) -> None:
        await self._opening.greet(connection)
        if self.company is not None:
            await self.company.meet(self, connection)
        if self.on_connect is not None:
            await self.on_connect(connection)
        if self.company is not None:
            self.company.check(self)
