"""A SQLite file that is written through as long as it can be, and replaced by memory while it cannot.

It knows the tables and how to survive a full, read-only or broken disk; it does not know what the rows mean.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from guard.journal.files import BROKEN, code, opened, transaction

T = TypeVar("T")

log = logging.getLogger(__name__)

VERSION = 1

SCHEMA = """
CREATE TABLE IF NOT EXISTS position (database TEXT PRIMARY KEY, last_event_id INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS state (
    database TEXT NOT NULL, target TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (database, target)
);
CREATE TABLE IF NOT EXISTS outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    channel TEXT NOT NULL, notice_id TEXT NOT NULL,
    database TEXT NOT NULL, migration TEXT NOT NULL, run_id INTEGER, severity TEXT NOT NULL,
    expendable INTEGER NOT NULL, record TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0, next_try_wall REAL NOT NULL DEFAULT 0,
    sent_wall REAL, dead_reason TEXT,
    UNIQUE (channel, notice_id)
);
CREATE VIEW IF NOT EXISTS waiting AS SELECT * FROM outbox WHERE sent_wall IS NULL AND dead_reason IS NULL;
CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (channel, seq) WHERE sent_wall IS NULL AND dead_reason IS NULL;
CREATE INDEX IF NOT EXISTS outbox_settled ON outbox (channel, sent_wall, dead_reason)
    WHERE sent_wall IS NOT NULL OR dead_reason IS NOT NULL;
CREATE TABLE IF NOT EXISTS kept (database TEXT PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS alarm (
    channel TEXT NOT NULL, topic TEXT NOT NULL,
    database TEXT NOT NULL, migration TEXT NOT NULL, run_id INTEGER NOT NULL,
    PRIMARY KEY (channel, topic, database, migration, run_id)
);
CREATE TABLE IF NOT EXISTS thread (
    channel TEXT NOT NULL, key TEXT NOT NULL, at_wall REAL NOT NULL, record TEXT NOT NULL, PRIMARY KEY (channel, key)
);
"""

# What memory has gathered goes back into the file without losing what the file still holds: it may keep notices from
# before a start at which it could not be opened.
_MERGE = """
DELETE FROM disk.state WHERE database IN (SELECT database FROM main.position);
INSERT INTO disk.state SELECT * FROM main.state WHERE true
    ON CONFLICT (database, target) DO UPDATE SET record = excluded.record;
INSERT INTO disk.position SELECT * FROM main.position WHERE true
    ON CONFLICT (database) DO UPDATE SET last_event_id = max(last_event_id, excluded.last_event_id);
INSERT INTO disk.outbox (channel, notice_id, database, migration, run_id, severity, expendable, record,
                         tries, next_try_wall, sent_wall, dead_reason)
    SELECT channel, notice_id, database, migration, run_id, severity, expendable, record,
           tries, next_try_wall, sent_wall, dead_reason
    FROM main.outbox WHERE true ORDER BY seq
    ON CONFLICT (channel, notice_id) DO UPDATE SET tries = excluded.tries, next_try_wall = excluded.next_try_wall,
        sent_wall = coalesce(sent_wall, excluded.sent_wall), dead_reason = coalesce(dead_reason, excluded.dead_reason);
INSERT INTO disk.kept SELECT * FROM main.kept WHERE true
    ON CONFLICT (database) DO UPDATE SET record = excluded.record;
INSERT OR IGNORE INTO disk.alarm SELECT * FROM main.alarm;
INSERT INTO disk.thread SELECT * FROM main.thread WHERE true
    ON CONFLICT (channel, key) DO UPDATE SET at_wall = excluded.at_wall, record = excluded.record;
"""


class _Unusable(Exception):
    """The file is not a journal that this program can read; it is put aside."""


class Ledger:
    """Transactions over the file, or over memory while the file fails. No method raises for what the disk does.

    Written with synchronous = FULL: a saved order to tell somebody must survive the loss of power. That costs one
    fsync a transaction (0.2 to 0.4 ms in the middle, 4 ms at p99 on an ordinary virtual disk), little enough to be
    called from the daemon's loop, since only changes are saved.
    """

    def __init__(self, path: Path, *, retry_after: float = 30.0) -> None:
        """`retry_after`: seconds between attempts to return from memory to the file."""
        self.path = path
        self.trouble: str | None = None
        """Why the file is not, or has not always been, in use; None while all is well."""
        self._retry_after = retry_after
        self._retry_at = 0.0
        self._in_memory = False
        self._closed = False
        try:
            self._db = self._open()
        except (OSError, sqlite3.Error) as error:
            self._db = _memory()
            self._fall_back(error)

    @property
    def in_memory(self) -> bool:
        """Whether a kill would lose what is written now."""
        return self._in_memory

    def transact(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Run `work` in one transaction; `otherwise` is the answer where neither file nor memory can do it."""
        if self._closed:
            return otherwise
        self._return_to_file()
        for _ in range(2):
            try:
                with transaction(self._db):
                    return work(self._db)
            except sqlite3.Error as error:
                if self._in_memory:
                    log.exception("the journal lost a record")
                    break
                self._escape(error)
            except (ValueError, TypeError, OverflowError):
                log.exception("the journal was given a record that it cannot write")
                break
        return otherwise

    def close(self) -> None:
        """Put what is only in memory into the file, if it can be had by now. May be called twice."""
        if not self._closed:
            self._closed = True
            self._return_to_file(now=True)
            self._db.close()

    def _open(self) -> sqlite3.Connection:
        try:
            return opened(self.path, _prepare)
        except (sqlite3.DatabaseError, _Unusable) as error:
            if isinstance(error, sqlite3.DatabaseError) and code(error) not in BROKEN:
                raise
            self._put_aside(error)
            return opened(self.path, _prepare)

    def _put_aside(self, error: Exception) -> None:
        aside = self.path.with_name(self.path.name + ".unreadable")
        for suffix in ("", "-wal", "-shm"):
            # One is kept, the newest, so that a disk that breaks each hour does not fill itself with evidence.
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").replace(f"{aside}{suffix}")
        self.trouble = f"The journal could not be read ({error}); it is kept as {aside}, and a new one was begun."
        log.error(self.trouble)

    def _escape(self, error: sqlite3.Error) -> None:
        # A full or read-only disk can still be read: what is waiting to be told comes along.
        copy = _copied(self._db)
        self._db.close()
        self._db = copy
        broken = code(error) in BROKEN
        self._fall_back(error)
        if broken:
            self._return_to_file(now=True)

    def _fall_back(self, error: Exception) -> None:
        self._in_memory = True
        self._retry_at = time.monotonic() + self._retry_after
        self.trouble = (
            f"The journal {self.path} cannot be used ({error}); the guard goes on and keeps it in memory, "
            "where a restart would lose it."
        )
        log.error(self.trouble)

    def _return_to_file(self, *, now: bool = False) -> None:
        if not self._in_memory or (time.monotonic() < self._retry_at and not now):
            return
        self._retry_at = time.monotonic() + self._retry_after
        trouble, self.trouble = self.trouble, None
        try:
            self._open().close()
            self._merge()
            fresh = self._open()
        except (OSError, sqlite3.Error):
            self.trouble = trouble
            return
        self._db.close()
        self._db, self._in_memory = fresh, False
        log.warning("the journal %s can be used again; nothing of it was lost", self.path)

    def _merge(self) -> None:
        self._db.execute("ATTACH ? AS disk", (str(self.path),))
        try:
            with transaction(self._db):
                for statement in _MERGE.split(";"):
                    self._db.execute(statement)
        finally:
            self._db.execute("DETACH disk")


def _prepare(db: sqlite3.Connection) -> None:
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version not in {0, VERSION}:
        raise _Unusable(f"it is of version {version}, and this program writes version {VERSION}")
    found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise _Unusable(str(found))
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA wal_autocheckpoint = 200")
    db.execute("PRAGMA journal_size_limit = 1000000")
    with transaction(db):
        _create(db)


def _create(db: sqlite3.Connection) -> None:
    for statement in SCHEMA.split(";"):
        db.execute(statement)
    db.execute(f"PRAGMA user_version = {VERSION}")


def _memory() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    _create(db)
    return db


def _copied(db: sqlite3.Connection) -> sqlite3.Connection:
    copy = _memory()
    try:
        db.backup(copy)
        # A backup copies broken pages as they are.
        if copy.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok":
            return copy
    except sqlite3.Error:
        pass
    copy.close()
    return _memory()
