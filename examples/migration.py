"""A backfill under guard: fills accounts.email_lower in batches, each one transaction, resumable at any point.

python examples/migration.py "host=localhost dbname=app user=migrator"
"""

import sys
from collections.abc import Iterator

import psycopg

from guard.client import Migration

BATCH = 1000


def batches(connection: psycopg.Connection) -> Iterator[tuple[int, int]]:
    """Ranges of ids that cover the table."""
    [(first, last)] = connection.execute("select coalesce(min(id), 0), coalesce(max(id), -1) from accounts").fetchall()
    yield from ((start, start + BATCH) for start in range(first, last + 1, BATCH))


def main(dsn: str) -> None:
    with (
        psycopg.connect(dsn, autocommit=True, application_name="migration:backfill-email") as connection,
        Migration(connection, "backfill-email") as migration,
    ):
        # Below deadlock_timeout: where batch and application wait for each other, it is the batch that gives way.
        connection.execute("set lock_timeout = '500ms'")
        for start, end in migration.pace(batches(connection)):
            done = connection.execute(
                "update accounts set email_lower = lower(email) "
                "where id >= %s and id < %s and email_lower is distinct from lower(email)",
                [start, end],
            )
            migration.progress(rows=done.rowcount)


if __name__ == "__main__":
    main(sys.argv[1])
