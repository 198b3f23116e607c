"""The migration of the acceptance tests, as a process: it writes down each batch that it begins.

What it writes is what the tests believe; it does not know what they expect. Its cursor commits with the batch, so that
it may be killed at any moment and started again.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import psycopg

from guard.client import Aborted, AlreadyRunning, GuardLost, Migration

Log = Callable[..., None]


def main(dsn: str, path: str, options: dict[str, Any]) -> int:
    """Migrate table t to its end; the exit code: 0 done, 4 aborted, 75 guard lost."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def log(what: str, **more: object) -> None:
        # One write a line, and none of it in a buffer: a kill loses nothing that has happened.
        os.write(file, (json.dumps({"what": what, "at": time.time(), **more}) + "\n").encode())

    name = options.pop("name", "backfill")
    work, size = options.pop("work", 0.02), options.pop("size", 10)
    again = options.pop("again", False)
    with psycopg.connect(dsn, autocommit=True, application_name=f"migration:{name}") as connection:
        log("connected", pid=connection.info.backend_pid)
        while True:
            migration = Migration(
                connection, name, poll=0.05, on_wait=lambda words: log("waits", words=words), **options
            )
            try:
                with migration:
                    log("registered", run=migration.run_id)
                    _work(connection, migration, log, (size, work))
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


def _work(connection: psycopg.Connection[Any], migration: Migration, log: Log, how: tuple[int, float]) -> None:
    size, work = how
    for _ in migration.pace(itertools.count()):
        log("batch")
        with connection.transaction():
            row = connection.execute(
                "update progress set upto = least(upto + %s, total) where upto < total returning upto", [size]
            ).fetchone()
            if row is None:
                return
            connection.execute("update t set v = v + 1 where id > (select max(upto) from done) and id <= %s", [row[0]])
            connection.execute("insert into done values (%s)", [row[0]])
            time.sleep(work)
        log("committed", upto=row[0])
        migration.progress(size)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
