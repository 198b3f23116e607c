"""The migration of the acceptance tests, as a process: it writes down each batch that it begins.

What it writes is what the tests believe; it does not know what they expect. Its cursor commits with the batch, so that
it may be killed at any moment and started again.
"""

from __future__ import annotations

import itertools
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, SupportsIndex

import psycopg

from guard.client import Aborted, AlreadyRunning, GuardLost, Migration

Log = Callable[..., None]


@dataclass(frozen=True)
class _Manner:
    """How it works."""

    size: int = 10
    """Rows of a batch."""
    work: float = 0.02
    """Seconds that a batch takes."""
    stops: str = ""
    """Where it stops itself once: `fetching the batch`, or `in the batch's transaction`, in which it then asks too."""
    stop_after: int = 0
    """Before which batch."""


def main(dsn: str, path: str, options: dict[str, Any]) -> int:
    """Migrate table t to its end; the exit code: 0 done, 4 aborted, 75 guard lost."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def log(what: str, **more: object) -> None:
        # One write a line, and none of it in a buffer: a kill loses nothing that has happened.
        os.write(file, (json.dumps({"what": what, "at": time.time(), **more}) + "\n").encode())

    name = options.pop("name", "backfill")
    manner = _Manner(**{key: options.pop(key) for key in _Manner.__annotations__ if key in options})
    again = options.pop("again", False)
    # Behind a transaction pooler a statement prepared on one server session is unknown on the next.
    threshold = 5 if options.pop("prepare", True) else None
    with psycopg.connect(
        dsn, autocommit=True, application_name=f"migration:{name}", prepare_threshold=threshold
    ) as connection:
        log("connected", pid=connection.info.backend_pid)
        while True:
            migration = Migration(
                connection, name, poll=0.05, on_wait=lambda words: log("waits", words=words), **options
            )
            try:
                with migration:
                    log("registered", run=migration.run_id)
                    _work(connection, migration, log, manner)
                return 0
            except AlreadyRunning:
                time.sleep(0.05)  # the server has not noticed yet that our predecessor is dead
            except Aborted as error:
                log("aborted", words=str(error))
                return 4
            except GuardLost as error:
                log("lost", words=str(error))
                return 75
            except psycopg.errors.QueryCanceled:
                log("cancelled")
                if not again:
                    return 1


def _work(connection: psycopg.Connection[Any], migration: Migration, log: Log, manner: _Manner) -> None:
    for number in migration.pace(_batches(log, manner)):
        try:
            if not _batch(connection, migration, log, (manner, number)):
                return
        except psycopg.errors.LockNotAvailable:
            log("refused")
            continue
        migration.progress(manner.size)


def _batches(log: Log, manner: _Manner) -> Iterator[int]:
    for number in itertools.count(1):
        if number == manner.stop_after and manner.stops == "fetching the batch":
            _stand_still(log)
        yield number


def _batch(connection: psycopg.Connection[Any], migration: Migration, log: Log, what: tuple[_Manner, int]) -> bool:
    """One batch; false where nothing is left to do."""
    manner, number = what
    careful = manner.stops == "in the batch's transaction"
    if careful and number == manner.stop_after:
        _stand_still(log)
    if not careful:
        log("batch")
    with connection.transaction():
        if careful:
            connection.execute("select migration_guard.require_proceed(%s, %s)", [migration.name, migration.run_id])
            log("batch")
        row = connection.execute(
            "update progress set upto = least(upto + %s, total) where upto < total returning upto", [manner.size]
        ).fetchone()
        if row is None:
            return False
        connection.execute("update t set v = v + 1 where id > (select max(upto) from done) and id <= %s", [row[0]])
        connection.execute("insert into done values (%s)", [row[0]])
        time.sleep(manner.work)
    log("committed", upto=row[0])
    return True


def _stand_still(log: Log) -> None:
    """Stop until somebody else has us go on."""
    log("stops")
    os.kill(os.getpid(), signal.SIGSTOP)


def _sleep(seconds: float | SupportsIndex, /) -> None:
    """Under libfaketime time.sleep() fails with EINVAL; to wait for nothing works."""
    select.select([], [], [], float(seconds))


if __name__ == "__main__":
    if "FAKETIME" in os.environ:
        time.sleep = _sleep
    sys.exit(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
