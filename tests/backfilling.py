"""Backfills in tests: a small table, and definitions that show what was done twice."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest

from guard.client.backfill import Definition, Hooks, Manner, Progress, Stopped, run
from tests.beating import Connection
from tests.fix_postgres import Database
from tests.shipped import as_client

COUNT = Definition("t", set_="n = n + 1")
"""Changes a row as often as it is asked to."""
FILL = Definition("t", set_="region = 'eu'", where="region is null")
QUICK = Manner(poll=0.02, window=False)
SMALL = replace(QUICK, max_batch=100)


@contextmanager
def thousand_rows(database: Database) -> Iterator[Connection]:
    """A migration's session, and a table of its own with the keys 1 to 1000."""
    with psycopg.connect(as_client(database.dsn(application_name="migration:m")), autocommit=True) as connection:
        connection.execute("create table t (id int primary key, n int not null default 0, region text)")
        connection.execute("insert into t select g from generate_series(1, 1000) g")
        yield connection


def stop_after(batches: int) -> Hooks:
    """Hooks that end a run after so many batches."""
    seen: list[Progress] = []
    return Hooks(on_progress=seen.append, stop=lambda: len(seen) >= batches)


def stopped(connection: Connection, definition: Definition, batches: int) -> None:
    """A run that is stopped after so many batches."""
    with pytest.raises(Stopped):
        run(connection, "m", definition, manner=SMALL, hooks=stop_after(batches))


def counts(database: Database) -> list[tuple[object, ...]]:
    """How often rows were changed: (how often, rows)."""
    return database.execute("select n, count(*) from t group by 1 order by 1")
