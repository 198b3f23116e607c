"""The migration of the demonstration, as a process: fills orders.region in batches, under guard by guard.client.

Its diary says when each batch began and what was committed; that is what the demonstration is measured by. It knows
nothing of faults.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from guard.client import Aborted, Migration
from guard.demo.diary import Diary

NAME = "fill-region"
BATCH = 200
EVERY = 0.05
"""Seconds from one batch to the next: some 4,000 rows/s, so that there is something left to do when faults come."""

# Lower case is the mistake that the application stumbles over later. `fills` proves that no row is filled twice.
_FILL = """
update orders set region = case id %% 2 when 0 then 'eu' else 'us' end, fills = fills + 1
 where id between %s and %s
"""


def main(dsn: str, diary: Diary) -> int:
    """Fill the whole table; 0 when done, 4 when told to abort."""
    with psycopg.connect(dsn, application_name=f"migration:{NAME}", autocommit=True) as connection:
        row = connection.execute("select max(id) from orders").fetchone()
        last = row[0] if row else 0
        try:
            with Migration(
                connection, NAME, poll=0.1, on_wait=lambda because: diary.note("waits", because=because)
            ) as migration:
                diary.note("registered", run_id=migration.run_id, rows=last)
                for first in migration.pace(_paced(range(1, last + 1, BATCH))):
                    migration.progress(_fill(connection, diary, first, min(first + BATCH - 1, last)))
        except Aborted as aborted:
            diary.note("ended", outcome="aborted", because=str(aborted))
            return 4
        except psycopg.OperationalError as error:  # the guard ends the session of a run that it rolls back
            diary.note("ended", outcome="cut off", because=str(error).splitlines()[0])
            return 4
        diary.note("ended", outcome="done", because="")
        return 0


def _fill(connection: psycopg.Connection[Any], diary: Diary, first: int, last: int) -> int:
    diary.note("batch begins", first=first, last=last)
    with connection.transaction():
        rows = connection.execute(_FILL, [first, last]).rowcount
    diary.note("batch committed", first=first, last=last, rows=rows)
    return rows


def _paced(firsts: range) -> Iterator[int]:
    due = time.monotonic()
    for first in firsts:
        time.sleep(max(0.0, due - time.monotonic()))
        due = time.monotonic() + EVERY
        yield first


if __name__ == "__main__":
    sys.exit(main(os.environ["DEMO_DSN"], Diary(Path(sys.argv[1]))))
