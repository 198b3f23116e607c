"""Fixtures: sessions that hang. Blockers and waiters in the tests are real ones."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from tests.waiting import wait_for

Row = tuple[Any, ...]


class Background:
    """A statement that runs in a thread, on a connection of its own."""

    def __init__(self, dsn: str, statement: str) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True)
        self.pid = self._connection.info.backend_pid
        self.error: psycopg.Error | None = None
        self._start(statement)

    def _start(self, statement: str) -> None:
        self._statement = statement
        self._thread = threading.Thread(target=self._run, name=f"background:{self.pid}", daemon=True)
        self._thread.start()

    def restart(self, statement: str) -> None:
        """Run another statement on the same connection; the last one must have ended."""
        assert not self.running
        self._start(statement)

    def _run(self) -> None:
        try:
            self._connection.execute(self._statement.encode())
        except psycopg.Error as error:
            self.error = error

    @property
    def running(self) -> bool:
        """Whether the statement has not ended yet."""
        return self._thread.is_alive()

    def wait(self, within: float = 10.0) -> None:
        """Wait for the end of the statement; *error* says how it ended."""
        self._thread.join(within)
        if self.running:
            raise TimeoutError(f"not within {within:g} s: the end of {self._statement!r}")

    def wait_blocked(self, on: psycopg.Connection[Row], within: float = 10.0) -> None:
        """Wait until the statement waits for a heavyweight lock, as *on* sees it."""
        query = "select wait_event_type = 'Lock' from pg_stat_activity where pid = %s"
        wait_for(
            lambda: (row := on.execute(query, [self.pid]).fetchone()) is not None and row[0],
            within=within,
            message=f"{self._statement!r} to wait for a lock (error so far: {self.error})",
        )

    def close(self) -> None:
        """Cancel what still runs and close the connection."""
        if self.running:
            self._connection.cancel_safe(timeout=5)
            self._thread.join(10)
        self._connection.close()


@pytest.fixture
def background() -> Iterator[Callable[[str, str], Background]]:
    """``background(dsn, statement)`` starts a statement and leaves it running; all end with the test."""
    started: list[Background] = []

    def start(dsn: str, statement: str) -> Background:
        started.append(Background(dsn, statement))
        return started[-1]

    yield start
    for session in started:
        session.close()
