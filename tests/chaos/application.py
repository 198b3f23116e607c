"""The application under chaos, as a process: it reads and writes the rows that are migrated, and logs how it fares.

    python application.py LOG        (the connection string is in CHAOS_DSN)

Every error is a line, every request that took long is one, and so is each second. It knows neither guard nor faults.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from pathlib import Path

import psycopg

from tests.chaos.backfill import Diary

READERS, WRITERS = 2, 2
THINKS = 0.1
LONG = 0.25
"""Seconds from which on a request is worth a line."""


class Application:
    """Threads, each with its own connection; they end with the process."""

    def __init__(self, dsn: str, diary: Diary) -> None:
        self._dsn, self._diary = dsn, diary
        self._requests = 0

    def run(self) -> None:
        """Serve until the process is ended."""
        for number in range(READERS + WRITERS):
            threading.Thread(target=self._serve, args=(number < READERS,), daemon=True).start()
        while True:
            time.sleep(1.0)
            self._diary.note("alive", requests=self._requests)

    def _serve(self, reads: bool) -> None:
        while True:
            began = time.time()
            try:
                with psycopg.connect(
                    self._dsn, application_name="web", autocommit=True, connect_timeout=10
                ) as connection:
                    row = connection.execute("select max(id) from t").fetchone()
                    while True:
                        began = time.time()
                        self._request(connection, random.randint(1, row[0] if row else 1), reads=reads)  # noqa: S311
                        time.sleep(THINKS)
            except psycopg.Error as error:
                words = str(error).strip().splitlines()
                self._diary.note("error", began=began, sqlstate=error.sqlstate, words=words[0] if words else "")
                time.sleep(0.3)

    def _request(self, connection: psycopg.Connection[tuple[int, ...]], row: int, *, reads: bool) -> None:
        began = time.monotonic()
        if reads:
            connection.execute("select n from t where id = %s", [row])
        else:
            connection.execute("update t set n = n + 1 where id = %s", [row])
        took = time.monotonic() - began
        self._requests += 1
        if took > LONG:
            self._diary.note("long", took=took, reads=reads)


if __name__ == "__main__":
    Application(os.environ["CHAOS_DSN"], Diary(Path(sys.argv[1]))).run()
