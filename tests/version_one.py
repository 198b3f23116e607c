"""The first version of the control schema, and a client and a guard that speak to it as they did then.

Frozen: tests/data/version_1 holds what `install --print` printed, and the queries of that version.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.fix_postgres import Database, Row

HERE = Path(__file__).parent / "data" / "version_1"


def install_version_one(database: Database) -> None:
    """Make the schema as it was, with its roles and grants."""
    database.execute(_read("schema").encode())


def _read(name: str) -> str:
    return (HERE / f"{name}.sql").read_text(encoding="utf-8")


def _query(name: str) -> bytes:
    return "\n".join(line for line in _read(name).splitlines() if not line.startswith("--")).encode()


class OldClient:
    """A migration of that version, on a connection of its own; a batch's transaction begins with `require_proceed`."""

    def __init__(self, dsn: str, name: str) -> None:
        self._connection: psycopg.Connection[Row] = psycopg.connect(dsn, autocommit=True)
        self.name = name
        self.run = int(self.ask("client_register", name, "wait", True, False, 1)[0])
        self.epoch = 0
        self.batches = 0

    def ask(self, query: str, *params: object) -> Row:
        """The row of one of its queries."""
        return self._connection.execute(_query(query), params).fetchall()[0]

    def told(self) -> str:
        """What it is told now; acknowledged as that client did."""
        kind, _, _, epoch, _, _, _, _, protocol = self.ask("client_read", self.name, self.run)
        assert protocol == 1
        if epoch is not None and epoch > self.epoch and self.ask("client_acknowledge", self.run, epoch)[0]:
            self.epoch = epoch
        return str(kind)

    def batch(self, statement: str = "select pg_sleep(0.01)") -> None:
        """One batch, and word of it."""
        with self._connection.transaction():
            self._connection.execute("select migration_guard.require_proceed(%s, %s)", [self.name, self.run])
            self._connection.execute(statement.encode())
        self.batches += 1
        assert self.ask("client_progress", self.run, 10 * self.batches, self.batches, "at work")[0] is True

    def finish(self) -> bool:
        """Say its end, and leave."""
        said = self.ask("client_finish", self.run, "done", None)[0]
        self._connection.close()
        return said is True

    def close(self) -> None:
        self._connection.close()


class OldGuard:
    """A guard of that version that leads, and orders everybody to proceed."""

    def __init__(self, dsn: str) -> None:
        self._connection: psycopg.Connection[Row] = psycopg.connect(dsn, autocommit=True)
        self.term = self._ask("control_lead", guard_id="old")[0]
        assert self.term is not None

    def _ask(self, query: str, **params: Any) -> Row:
        return self._connection.execute(_query(query), params).fetchall()[0]

    def publish(self, names: dict[str, int]) -> None:
        """One beat; *names*: run by migration."""
        order = {"kind": "proceed", "because": "all is well", "since": 1}
        self._ask(
            "control_publish",
            guard_id="old",
            term=self.term,
            mode="live",
            epoch=1,
            orders=json.dumps(dict.fromkeys(names, order)),
            lease=3.0,
            rests_for=0.0,
            events="[]",
            admitted=list(names.values()),
            barred="[]",
            report=json.dumps({"mode": "live", "runs": []}),
            not_after=time.time() + 60,
        )
        assert self._ask("control_still", guard_id="old", term=self.term)[0] is True

    def close(self) -> None:
        self._connection.close()


@contextmanager
def again_and_again(work: Callable[[], object]) -> Iterator[list[float]]:
    """Do *work* in a thread until the block ends; how long each took, in seconds. What it raises, the block raises."""
    took: list[float] = []
    failed: list[BaseException] = []
    stop = threading.Event()

    def loop() -> None:
        while not stop.wait(0.02) and not failed:
            began = time.monotonic()
            try:
                work()
            except BaseException as error:  # noqa: BLE001 -- handed to the test's own thread
                failed.append(error)
            took.append(time.monotonic() - began)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield took
    finally:
        stop.set()
        thread.join(20)
    if failed:
        raise failed[0]
