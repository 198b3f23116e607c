"""A second migration of the demonstration, as a process: one ALTER TABLE of a tool that knows of no guard.

It is recognised by its role and application_name alone, and has no lock_timeout, as such tools mostly have none.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psycopg

from guard.demo.diary import Diary


def main(dsn: str, diary: Diary) -> int:
    """Add a column; 0 when it was added, 1 when the server said no."""
    with psycopg.connect(dsn, application_name="migration:add-note", autocommit=True) as connection:
        diary.note("alter begins")
        try:
            connection.execute("alter table orders add column note text")
        except psycopg.Error as error:
            diary.note("alter refused", sqlstate=error.sqlstate, because=str(error).splitlines()[0])
            return 1
        diary.note("alter done")
        return 0


if __name__ == "__main__":
    sys.exit(main(os.environ["DEMO_DSN"], Diary(Path(sys.argv[1]))))
