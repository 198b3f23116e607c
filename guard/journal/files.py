"""What the two SQLite files of the state directory share: how one is opened, and a transaction of one."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
"""Primary codes of errors after which a file is put aside."""


def opened(path: Path, prepare: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    """The file, made with its directory where it is not there, and prepared. Raises OSError, sqlite3.Error."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Names and values of a production database are nobody else's business; SQLite gives -wal and -shm the same mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    # Nobody else writes here; 50 ms is for a person's reader that happens to hold the file.
    db = sqlite3.connect(path, isolation_level=None, timeout=0.05)
    try:
        prepare(db)
    except BaseException:
        db.close()
        raise
    return db


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # A full disk may have rolled it back already.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def code(error: Exception) -> int:
    """The primary code of an error; the rest of what SQLite gives says where it happened."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
