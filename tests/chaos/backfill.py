"""The migration under chaos, as a process: it writes down each batch that it begins, and ends where its line breaks.

    python backfill.py LOG NAME BATCH SECONDS        (the connection string is in CHAOS_DSN)

Its cursor commits with the batch, so that whoever starts it again goes on exactly there. It knows neither faults nor
what is expected of it.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from pathlib import Path

import psycopg

from guard.client import Aborted, AlreadyRunning, GuardLost, Migration

ABORTED, CUT_OFF = 4, 9
"""Exit codes: told to abort; the database went away, or the batch was cancelled."""


class Diary:
    """One write a line, and none of it in a buffer: a kill loses nothing that has happened."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, what: str, **more: object) -> None:
        """Append a line with the wall time."""
        os.write(self._file, (json.dumps({"what": what, "at": time.time(), **more}) + "\n").encode())


def main(dsn: str, diary: Diary, name: str, how: tuple[int, float]) -> int:
    """Work through table t once; 0 done, 4 aborted, 75 no guard, CUT_OFF where the database went away."""
    try:
        with psycopg.connect(dsn, autocommit=True, application_name=f"migration:{name}") as connection:
            diary.note("connected", pid=connection.info.backend_pid)
            return _registered(connection, diary, name, how)
    except psycopg.Error as error:
        diary.note("cut off", sqlstate=error.sqlstate, words=str(error).strip().splitlines()[:1])
        return CUT_OFF


def _registered(
    connection: psycopg.Connection[tuple[object, ...]], diary: Diary, name: str, how: tuple[int, float]
) -> int:
    while True:
        migration = Migration(connection, name, poll=0.1, on_wait=lambda words: diary.note("waits", words=words))
        try:
            with migration:
                diary.note("registered", run=migration.run_id)
                _work(connection, migration, diary, how)
            diary.note("done")
            return 0
        except AlreadyRunning:
            time.sleep(0.2)  # the server has not noticed yet that our predecessor is dead
        except Aborted as error:
            diary.note("aborted", words=str(error))
            return ABORTED
        except GuardLost as error:
            diary.note("lost", words=str(error))
            return 75


def _work(
    connection: psycopg.Connection[tuple[object, ...]], migration: Migration, diary: Diary, how: tuple[int, float]
) -> None:
    size, work = how
    for _ in migration.pace(itertools.count()):
        diary.note("batch")
        with connection.transaction():
            row = connection.execute(
                "update progress set upto = least(upto + %s, total) where upto < total returning upto", [size]
            ).fetchone()
            if row is None:
                return
            connection.execute("update t set v = v + 1 where id > (select max(upto) from done) and id <= %s", [row[0]])
            connection.execute("insert into done values (%s)", [row[0]])
            time.sleep(work)
        diary.note("committed", upto=row[0])
        migration.progress(size)


if __name__ == "__main__":
    log, run_name, batch, seconds = sys.argv[1:]
    sys.exit(main(os.environ["CHAOS_DSN"], Diary(Path(log)), run_name, (int(batch), float(seconds))))
