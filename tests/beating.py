"""A guard's heart for tests of the client: it beats and admits, and orders what the test says."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from guard.client import Migration
from tests.contract import Contract
from tests.fix_postgres import Database
from tests.waiting import wait_for

Connection = psycopg.Connection[Any]


def wait_until(moment: float) -> None:
    """Wait for a moment of the monotonic clock: for what must not happen until then."""
    wait_for(lambda: time.monotonic() >= moment, within=max(0.0, moment - time.monotonic()) + 1)


def longer(items: list[float], count: int) -> bool:
    return len(items) > count


@contextmanager
def in_thread(work: Callable[[], object]) -> Iterator[threading.Thread]:
    """Run *work* beside the block, and see it end after it."""
    thread = threading.Thread(target=work)
    thread.start()
    yield thread
    thread.join(20)
    assert not thread.is_alive()


class Beating:
    """A guard that beats ten times a second and admits whoever comes, with one order for all."""

    def __init__(self, database: Database) -> None:
        self.contract = Contract(database)
        self.order, self.mode, self.epoch, self.lease = "proceed", "live", 1, 2.0
        self.silent = threading.Event()
        self._stop = threading.Event()
        self._turn = threading.Lock()
        self._thread = threading.Thread(target=self._beat)
        self._thread.start()

    def _beat(self) -> None:
        while not self._stop.wait(0.1):
            if not self.silent.is_set():
                self.say()

    def say(self, order: str | None = None) -> None:
        """Beat at once; a new *order* is a new epoch."""
        with self._turn:
            if order is not None and order != self.order:
                self.order, self.epoch = order, self.epoch + 1
            runs = self.contract.guard.execute(
                "select run_id, migration from migration_guard.run where ended_at is null"
            ).fetchall()
            self.contract.publish(
                {name: self.order for _, name in runs},
                mode=self.mode,
                epoch=self.epoch,
                lease=self.lease,
                admitted=tuple(run for run, _ in runs),
            )

    def die(self) -> None:
        """Beat no more, and lose the lease as in a crash."""
        self.silent.set()
        with self._turn:
            self.contract.database.execute("delete from migration_guard.lease")

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self.contract.close()


def paced(connection: Connection, batches: int = 3, **options: Any) -> list[int]:
    """A whole guarded run; the batches that it was let to do."""
    with Migration(connection, "m", **{"poll": 0.02, **options}) as migration:
        return list(migration.pace(range(batches)))


def only_run(database: Database, columns: str) -> tuple[Any, ...]:
    """Columns of the one run that there is."""
    query = psycopg.sql.SQL("select {} from migration_guard.run")
    names = psycopg.sql.SQL(",").join(map(psycopg.sql.Identifier, columns.split()))
    [row] = database.execute(query.format(names))
    return row
