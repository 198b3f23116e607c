"""The application as a process: writers that change single rows of `items` until SIGTERM, then say how it went."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import psycopg

PAUSE = 0.02
"""Seconds between two writes of one writer."""


class Writer(threading.Thread):
    """One session of the application."""

    def __init__(self, dsn: str, rows: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._dsn, self._rows, self._stopping = dsn, rows, stop
        self.writes = 0
        self.longest = 0.0
        self.errors: Counter[str] = Counter()

    def run(self) -> None:
        """Write until told to stop; count what goes wrong by SQLSTATE."""
        while not self._stopping.is_set():
            try:
                with psycopg.connect(self._dsn, application_name="shop", autocommit=True) as connection:
                    self._write(connection)
            except psycopg.Error as error:
                self.errors[error.sqlstate or type(error).__name__] += 1

    def _write(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        while not self._stopping.wait(PAUSE):
            began = time.perf_counter()
            connection.execute("update items set n = n + 1 where id = %s", [random.randint(1, self._rows)])  # noqa: S311 - not a secret
            self.longest = max(self.longest, time.perf_counter() - began)
            self.writes += 1


def main(dsn: str, report: Path, *, writers: int, rows: int) -> None:
    """Run them all; the report is there once it is whole."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    crew = [Writer(dsn, rows, stop) for _ in range(writers)]
    for writer in crew:
        writer.start()
    while not stop.wait(0.5):
        pass
    for writer in crew:
        writer.join(10)
    errors: Counter[str] = sum((writer.errors for writer in crew), Counter())
    told = {
        "writes": sum(writer.writes for writer in crew),
        "longest_ms": max(writer.longest for writer in crew) * 1000,
        "errors": dict(errors),
    }
    draft = report.with_suffix(".draft")
    draft.write_text(json.dumps(told))
    draft.rename(report)


if __name__ == "__main__":
    main(os.environ["BENCH_DSN"], Path(sys.argv[1]), writers=int(sys.argv[2]), rows=int(sys.argv[3]))
