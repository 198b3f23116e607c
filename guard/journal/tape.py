"""The tape of the flight recorder: the frames of each step in a SQLite file of their own, and how they are read.

It knows how frames are kept and bounded, not what they say. It is apart from the journal since it is large and of less
worth: nothing here is waited for by a person, so nothing is forced to the disk (`synchronous = NORMAL`): a kill loses
the frames since the last write, a loss of power those since the last checkpoint, and neither harms the file.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
import sys
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from guard.errors import WorldError
from guard.journal.files import BROKEN, code, opened, transaction
from guard.ports import RECORDER, Frame

T = TypeVar("T")

log = logging.getLogger(__name__)

MOST_BYTES = 64 * 1024**2
"""Of compressed frames, for all databases together."""
OLDEST = 30 * 86_400.0
"""Seconds."""
WRITE_EVERY, WRITE_AT = 10.0, 200
"""Seconds, and frames, that are written together; so much a kill may lose. What decides something goes at once."""
WAITING = 2000
"""Frames that wait in memory while the disk does not take them; then the oldest are lost."""
AGAIN_AFTER = 30.0
"""Seconds until a disk that failed is tried again."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tape (
    id INTEGER PRIMARY KEY AUTOINCREMENT, database TEXT NOT NULL, from_wall REAL NOT NULL, to_wall REAL NOT NULL,
    whole INTEGER NOT NULL, runs TEXT NOT NULL, bytes INTEGER NOT NULL, frames BLOB NOT NULL
)
"""
_INSERT = "INSERT INTO tape (database, from_wall, to_wall, whole, runs, bytes, frames) VALUES (?, ?, ?, ?, ?, ?, ?)"
_SHED = """
DELETE FROM tape WHERE id IN
    (SELECT id FROM (SELECT id, sum(bytes) OVER (ORDER BY id) AS upto FROM tape) WHERE upto <= ?)
"""
_SPAN = """
SELECT frames FROM tape WHERE database = :database AND id <= :last AND id >= coalesce(
    (SELECT max(id) FROM tape WHERE database = :database AND whole AND id <= :first), 0) ORDER BY id
"""
_BETWEEN = """
SELECT frames FROM tape WHERE database = :database AND from_wall <= :until AND id >= coalesce(
    (SELECT max(id) FROM tape WHERE database = :database AND whole AND from_wall <= :since), 0) ORDER BY id
"""


class Recorder:
    """Keeps the frames of all guards of a daemon. No method raises for what the disk does. Use from one thread."""

    def __init__(self, path: Path, *, most_bytes: int = MOST_BYTES, again_after: float = AGAIN_AFTER) -> None:
        self.path = path
        self.trouble = ""
        """Why frames cannot be written now; empty where they can."""
        self._most_bytes, self._again_after = most_bytes, again_after
        self._db: sqlite3.Connection | None = None
        self._waiting: dict[str, deque[Frame]] = {}
        self._wrote: dict[str, float] = {}
        self._retry_at = float("-inf")

    def of(self, database: str) -> Callable[[Frame], None]:
        """Where the guard of a database leaves its frames."""
        self._waiting[database] = deque(maxlen=WAITING)
        return lambda frame: self._keep(database, frame)

    @property
    def troubles(self) -> Mapping[str, str]:
        """As guards tell of it: its trouble under its name, or nothing."""
        return {RECORDER: self.trouble} if self.trouble else {}

    def close(self) -> None:
        """Write what waits and let the file go."""
        for database in self._waiting:
            self._write(database)
        if self._db is not None:
            self._db.close()
            self._db = None

    def _keep(self, database: str, frame: Frame) -> None:
        waiting, now = self._waiting[database], time.monotonic()
        if frame.whole:
            self._write(database)  # a reader begins with a whole one, so it stands first in its row
        waiting.append(frame)
        due = len(waiting) >= WRITE_AT or now - self._wrote.setdefault(database, now) >= WRITE_EVERY
        if due or frame.urgent:
            self._write(database)

    def _write(self, database: str) -> None:
        waiting = self._waiting[database]
        if not waiting or time.monotonic() < self._retry_at:
            return
        try:
            self._insert(database, list(waiting))
        except (TypeError, ValueError, OverflowError):
            # It would never be written, and no decision may suffer from it.
            log.exception("the flight recorder was given frames that it cannot write")
            waiting.clear()
            return
        except (OSError, MemoryError, sqlite3.Error, zlib.error) as error:
            self._fail(error)
            return
        waiting.clear()
        self._wrote[database] = time.monotonic()
        if self.trouble:
            log.warning("the flight recorder %s can be written again", self.path)
            self.trouble = ""

    def _insert(self, database: str, frames: list[Frame]) -> None:
        db = self._db = self._db or opened(self.path, _prepare)
        text = "\n".join(json.dumps(frame.body, separators=(",", ":")) for frame in frames)
        packed = zlib.compress(text.encode())
        runs = json.dumps(sorted({run for frame in frames for run in frame.runs}, key=str))
        row = (database, frames[0].wall, frames[-1].wall, frames[0].whole, runs, len(packed), packed)
        with transaction(db):
            db.execute(_INSERT, row)
            db.execute("DELETE FROM tape WHERE to_wall < ?", (time.time() - OLDEST,))
            held = int(db.execute("SELECT coalesce(sum(bytes), 0) FROM tape").fetchone()[0])
            if held > self._most_bytes:
                # A tenth at once, so that it is not done at each write.
                db.execute(_SHED, (held - self._most_bytes * 0.9,))

    def _fail(self, error: Exception) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
        broken = code(error) in BROKEN
        if broken:
            with contextlib.suppress(OSError):
                for suffix in ("", "-wal", "-shm"):
                    Path(f"{self.path}{suffix}").rename(f"{self.path}.unreadable{suffix}")
        self._retry_at = time.monotonic() + (0.0 if broken else self._again_after)
        if not self.trouble:
            log.error("the flight recorder %s cannot be written (%s); the guard goes on without it", self.path, error)
        self.trouble = str(error)


def _prepare(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA journal_size_limit = 1000000")
    db.execute(_SCHEMA)


# -- reading -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Recorded:
    """One run on the tape; Unix times of the first and the last frame in whose company it is."""

    migration: str
    run_id: int | None
    from_wall: float
    to_wall: float
    first: int
    """Where it stands on the tape; a wall clock may have been set meanwhile."""
    last: int


class Reader:
    """A tape as it stands, also while a daemon writes it. Every method raises WorldError where it cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def databases(self) -> tuple[str, ...]:
        """Names of the databases that are on it."""
        return self._ask(
            lambda db: tuple(row[0] for row in db.execute("SELECT DISTINCT database FROM tape ORDER BY 1"))
        )

    def runs(self, database: str) -> tuple[Recorded, ...]:
        """The runs that are on it, oldest first."""

        def work(db: sqlite3.Connection) -> tuple[Recorded, ...]:
            found: dict[tuple[str, int | None], Recorded] = {}
            query = "SELECT id, runs, from_wall, to_wall FROM tape WHERE database = ? ORDER BY id"
            for row, runs, from_wall, to_wall in db.execute(query, (database,)):
                for migration, run_id in json.loads(runs):
                    known = found.get((migration, run_id))
                    since, first = (known.from_wall, known.first) if known else (from_wall, row)
                    found[migration, run_id] = Recorded(migration, run_id, since, to_wall, first, row)
            return tuple(found.values())

        return self._ask(work)

    def frames(self, database: str, run: Recorded | None = None) -> tuple[dict[str, Any], ...]:
        """The frames of a run, from the last whole one before it; of everything, where no run is named."""
        first, last = (run.first, run.last) if run else (0, sys.maxsize)

        def work(db: sqlite3.Connection) -> tuple[dict[str, Any], ...]:
            rows = db.execute(_SPAN, {"database": database, "first": first, "last": last})
            lines = (line for (packed,) in rows for line in zlib.decompress(packed).decode().split("\n"))
            return tuple(cast("dict[str, Any]", json.loads(line)) for line in lines)

        return self._ask(work)

    def between(self, database: str, since: float, until: float, make: Callable[[Iterator[dict[str, Any]]], T]) -> T:
        """What *make* makes of the frames between two Unix times, from the last whole one before.

        They are read as they are asked for, a few hundred at a time; where the file has to be opened otherwise, *make*
        is called anew.
        """
        about = {"database": database, "since": since, "until": until}

        def frames(db: sqlite3.Connection) -> Iterator[dict[str, Any]]:
            for (packed,) in db.execute(_BETWEEN, about):
                for line in zlib.decompress(packed).decode().split("\n"):
                    yield json.loads(line)

        return self._ask(lambda db: make(frames(db)))

    def _ask(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if not self.path.exists():
            raise WorldError(f"There is no {self.path}: nothing has been recorded there.")
        try:
            try:
                return _read(f"{self.path.absolute().as_uri()}?mode=ro", work)
            except sqlite3.OperationalError:
                # In a directory that may not be written a file that nobody writes can be read only so.
                return _read(f"{self.path.absolute().as_uri()}?mode=ro&immutable=1", work)
        except (sqlite3.Error, zlib.error, ValueError) as error:
            raise WorldError(f"{self.path} cannot be read: {error}.") from None


def _read(uri: str, work: Callable[[sqlite3.Connection], T]) -> T:
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=2.0)) as db:
        return work(db)
