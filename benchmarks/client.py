"""A polling client as a process: short batches under guard.client until SIGTERM; its diary has each batch's start.

The diary is what "the last batch" is measured by: Unix seconds, a line for each, written before the batch begins.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from guard.client import Migration

NAME = "bench"
BETWEEN = 0.004
"""Seconds from the end of a batch to the next: batches are so close that a stop shows at once."""
FRESH_FOR = 0.2
"""The client's default."""


def main(dsn: str, diary: Path) -> None:
    """Run batches until told to stop."""
    stop, waited = threading.Event(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with (
        diary.open("a", buffering=1) as notes,
        psycopg.connect(dsn, application_name=f"migration:{NAME}", autocommit=True) as connection,
        Migration(connection, NAME, poll=0.02, on_wait=lambda _: waited.set()) as migration,
    ):
        for number in migration.pace(_numbers(stop, waited)):
            notes.write(f"{time.time():.6f}\n")
            connection.execute("update small set n = n + 1 where id = %s", [number % 1000 + 1])
            migration.progress(1)


def _numbers(stop: threading.Event, waited: threading.Event) -> Iterator[int]:
    number = 0
    while not stop.wait(BETWEEN):
        if waited.is_set():
            # A resume comes at a tick of the guard, and from then on the client would ask in step with it: five
            # times a second against a poll of 1 s or 100 ms. So the next question comes at a random moment.
            waited.clear()
            stop.wait(FRESH_FOR * random.uniform(1, 2))  # noqa: S311 - not a secret
        yield number
        number += 1


if __name__ == "__main__":
    main(os.environ["BENCH_DSN"], Path(sys.argv[1]))
