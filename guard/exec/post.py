"""Where exec stands in the database: one connection of the migration's own role, with the run and its sessions on it.

Questions of the user, such as what verifies the outcome, are asked on a connection of their own, with the role's own
settings. It decides nothing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import make_conninfo

from guard.client import AlreadyRunning
from guard.client.asking import Line
from guard.errors import Unreachable, WrongServer
from guard.exec.sessions import Sessions
from guard.exec.steering import Steering
from guard.postgres.address import parse
from guard.postgres.line import APPLICATION, LINE
from guard.postgres.trouble import Naming

_SETTINGS = {"statement_timeout": "5s", "search_path": "pg_catalog, pg_temp", "idle_session_timeout": "0"}
_QUESTION = {"statement_timeout": "60s", "default_transaction_read_only": "on"}
_AGAIN = 0.5
"""Seconds between two tries to connect."""

T = TypeVar("T")
Connection = psycopg.Connection[Any]


class Post:
    """Opened once at the start, and anew where the connection broke. *steer* makes the run on a connection."""

    def __init__(self, conninfo: str, mark: str, steer: Callable[[Connection], Steering]) -> None:
        self._conninfo, self._mark, self._steer = conninfo, mark, steer
        self._connection: Connection | None = None
        self._steering: Steering | None = None
        self._sessions: Sessions | None = None

    @property
    def steering(self) -> Steering:
        """The run."""
        assert self._steering is not None  # noqa: S101 -- open() comes first
        return self._steering

    @property
    def sessions(self) -> Sessions:
        """The command's sessions."""
        assert self._sessions is not None  # noqa: S101
        return self._sessions

    def open(self) -> None:
        """Connect and register. Raises Unreachable, WrongServer, AlreadyRunning, NotInstalled, NotPermitted."""
        connection = connect(self._conninfo, self._mark)
        try:
            _greet(connection)
            steering = self._steer(connection)
            steering.__enter__()
        except psycopg.Error as error:
            connection.close()
            raise Unreachable(f"PostgreSQL: {words_of(error)}", error.sqlstate) from None
        except BaseException:
            connection.close()
            raise
        self._connection, self._steering, self._sessions = connection, steering, Sessions(connection)

    def reopen(self) -> bool:
        """Where the connection is broken, open a new one and register anew; whether it stands now."""
        if not self.broken:
            return False
        with contextlib.suppress(Unreachable, AlreadyRunning, WrongServer):
            outcome = (self.steering.outcome, self.steering.detail)
            self.open()
            self.steering.outcome, self.steering.detail = outcome
            return True
        return False

    def surviving(self, work: Callable[[], T], *, within: float, wait: Callable[[float], None] = time.sleep) -> T:
        """Do *work*, and do it again on a new connection where the old one broke, for so many seconds.

        Raises psycopg.Error for the rest, and what *work* raises.
        """
        end = time.monotonic() + within
        while True:
            try:
                return work()
            except psycopg.OperationalError:
                if not self.broken:
                    raise
                while not self.reopen():
                    if time.monotonic() >= end:
                        raise
                    wait(_AGAIN)

    @property
    def broken(self) -> bool:
        """Whether the connection is gone."""
        return self._connection is None or self._connection.closed or self._connection.broken

    def close(self, outcome: str, detail: str) -> None:
        """Record how the run ended."""
        if self._connection is None or self._steering is None:
            return
        if self.broken:
            self.reopen()
        self.steering.outcome, self.steering.detail = outcome, detail
        self.steering.__exit__(None, None, None)
        self._connection.close()

    def ask(self, query: str) -> object:
        """The one value that a query of the user's returns, which may change nothing. Raises psycopg.Error, ValueError.

        ValueError: it returned no row, more than one, or more than one value.
        """
        with connect(self._conninfo, f"{APPLICATION}exec") as connection:
            _set(connection, _QUESTION)
            rows = connection.execute(query.encode()).fetchmany(2)
            if len(rows) != 1 or len(rows[0]) != 1:
                raise ValueError("it must return one row with one value")
            value: object = rows[0][0]
            return value


def connect(conninfo: str, name: str) -> Connection:
    """A connection in autocommit mode. Raises Unreachable, WorldError where *conninfo* cannot be read."""
    given = parse(conninfo, "exec")
    own = {"application_name": name, "client_encoding": "UTF8"}
    try:
        return psycopg.connect(make_conninfo("", **{**LINE, **given, **own}), autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        raise Unreachable(f"no connection to PostgreSQL: {Naming('exec', given).redacted(error)}") from None


def words_of(error: psycopg.Error) -> str:
    """What the server said, or the kind of the error: the driver's own words may hold a password."""
    return error.diag.message_primary or type(error).__name__


def _greet(connection: Connection) -> None:
    # Before anything is set: behind a pooler it would stay on the application's sessions.
    if Line(connection).pooled():
        raise WrongServer(
            "The connection leads through a connection pooler, where sessions cannot be told apart: "
            "give --dsn one that leads straight to PostgreSQL."
        )
    _set(connection, _SETTINGS)


def _set(connection: Connection, settings: dict[str, str]) -> None:
    for name, value in settings.items():
        connection.execute("select set_config(%s, %s, false)", [name, value])
