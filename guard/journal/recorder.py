"""What the guards of one daemon write into the journal, each under the name of its database."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeVar, cast

from guard.journal import waiting
from guard.journal.ledger import Ledger
from guard.journal.routes import Route
from guard.journal.threads import Threads
from guard.journal.waiting import Backlog, Entry
from guard.model import Kept, Notice, State
from guard.records import kept_from_dict, kept_to_dict, state_from_dict, state_to_dict

T = TypeVar("T")


class Journal:
    """One file for all databases of a daemon. Nothing here raises for what the disk does; see `trouble`.

    Use from one thread. `channels` are the names of the messengers that notices are queued for, each of them on one
    without a route in `routes`; `bound` is how many may wait on a channel before the least important are dropped.
    """

    def __init__(
        self,
        path: Path,
        *,
        channels: Sequence[str] = (),
        routes: Mapping[str, Route] | None = None,
        bound: int = 200,
    ) -> None:
        self._ledger = Ledger(path)
        self._channels = {channel: (routes or {}).get(channel) for channel in channels}
        self._bound = bound

    @property
    def trouble(self) -> str | None:
        """A sentence for people where the file could not always be used."""
        return self._ledger.trouble

    def of(self, database: str) -> DatabaseJournal:
        """The part of one guard."""
        return DatabaseJournal(self, database)

    def threads(self, channel: str) -> Threads:
        """What the messenger of a channel has to remember."""
        return Threads(self._ledger, channel)

    def close(self) -> None:
        """Let the file go. May be called twice."""
        self._ledger.close()

    # -- the guard's side ----------------------------------------------------------------------------------------------

    def save(self, database: str, states: Sequence[State], notices: Sequence[Notice], last_event_id: int) -> None:
        """Replace the states of a database, queue its notices and remember its last event id, all or nothing.

        `states` are all that the guard remembers now: one that is missing is forgotten.
        """

        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM state WHERE database = ?", (database,))
            db.executemany(
                "INSERT OR REPLACE INTO state VALUES (?, ?, ?)",
                [(database, f"{s.run_id or ''}:{s.migration}", json.dumps(state_to_dict(s))) for s in states],
            )
            db.execute(
                "INSERT INTO position VALUES (?, ?) ON CONFLICT (database) "
                "DO UPDATE SET last_event_id = max(last_event_id, excluded.last_event_id)",
                (database, last_event_id),
            )
            self._queue(db, notices)

        self._ledger.transact(work, None)

    def states(self, database: str) -> tuple[State, ...]:
        """The states last saved; one that cannot be read is left out."""
        return self._ledger.transact(lambda db: _states(db, database), ())

    def last_event_id(self, database: str) -> int:
        """Greatest event id whose notice is known to have been queued; 0: none."""

        def work(db: sqlite3.Connection) -> int:
            row = db.execute("SELECT last_event_id FROM position WHERE database = ?", (database,)).fetchone()
            return int(row[0]) if row else 0

        return self._ledger.transact(work, 0)

    def add_missing(self, notices: Sequence[Notice]) -> None:
        """Queue notices found in the events of the database; one whose id is known already is passed over."""
        self._ledger.transact(lambda db: self._queue(db, notices), None)

    def keep(self, database: str, kept: Kept) -> None:
        """Replace the readings of a database that baselines are made of."""
        row = (database, json.dumps(kept_to_dict(kept), separators=(",", ":")))
        self._ledger.transact(lambda db: db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", row), None)

    def kept(self, database: str) -> Kept:
        """The readings last written; none where they cannot be read."""
        query = "SELECT record FROM kept WHERE database = ?"
        row = self._ledger.transact(lambda db: db.execute(query, (database,)).fetchone(), None)
        try:
            return kept_from_dict(json.loads(row[0])) if row else Kept()
        except ValueError:
            return Kept()

    def told_last(self, database: str, kinds: Collection[str]) -> Notice | None:
        """The newest notice about the guard itself of one of these kinds; None: none is known."""
        return self._ledger.transact(lambda db: waiting.newest(db, database, kinds), None)

    # -- the outbox's side ---------------------------------------------------------------------------------------------

    def pending(self, channel: str, limit: int = 50) -> tuple[Entry, ...]:
        """What waits on a channel, oldest first, whether or not it is due."""
        return self._ledger.transact(lambda db: waiting.waiting(db, channel, limit), ())

    def mark_sent(self, entry: Entry, now_wall: float) -> None:
        self._settle(
            "UPDATE outbox SET tries = tries + 1, sent_wall = ? WHERE channel = ? AND notice_id = ?", entry, now_wall
        )

    def mark_failed(self, entry: Entry, next_try_wall: float) -> None:
        """It is to be tried again, not before a wall time."""
        query = "UPDATE outbox SET tries = tries + 1, next_try_wall = ? WHERE channel = ? AND notice_id = ?"
        self._settle(query, entry, next_try_wall)

    def mark_dead(self, entry: Entry, reason: str) -> None:
        """It is never tried again."""
        self._settle(
            "UPDATE outbox SET tries = tries + 1, dead_reason = ? WHERE channel = ? AND notice_id = ?", entry, reason
        )

    def backlog(self, channel: str) -> Backlog:
        """How a channel stands."""
        return self._ledger.transact(lambda db: waiting.backlog(db, channel), Backlog(0, 0, None, None))

    # ------------------------------------------------------------------------------------------------------------------

    def _queue(self, db: sqlite3.Connection, notices: Sequence[Notice]) -> None:
        if notices:
            waiting.add(db, self._channels, notices)
            for channel in self._channels:
                waiting.shed(db, channel, self._bound)

    def _settle(self, query: str, entry: Entry, value: float | str) -> None:
        # By id, not by seq: a return from memory to the file may have numbered the rows anew.
        self._ledger.transact(lambda db: db.execute(query, (value, entry.channel, entry.notice.notice_id)), None)


class DatabaseJournal:
    """The journal as one guard sees it; implements the protocol of the cycle."""

    def __init__(self, journal: Journal, database: str) -> None:
        self._journal = journal
        self._database = database

    def save(self, states: Sequence[State], notices: Sequence[Notice], last_event_id: int) -> None:
        """See Journal.save."""
        self._journal.save(self._database, states, notices, last_event_id)

    def states(self) -> tuple[State, ...]:
        """See Journal.states."""
        return self._journal.states(self._database)

    def last_event_id(self) -> int:
        """See Journal.last_event_id."""
        return self._journal.last_event_id(self._database)

    def add_missing(self, notices: Sequence[Notice]) -> None:
        """See Journal.add_missing."""
        self._journal.add_missing(notices)

    def keep(self, kept: Kept) -> None:
        """See Journal.keep."""
        self._journal.keep(self._database, kept)

    def kept(self) -> Kept:
        """See Journal.kept."""
        return self._journal.kept(self._database)

    def told_last(self, kinds: Collection[str]) -> Notice | None:
        """See Journal.told_last."""
        return self._journal.told_last(self._database, kinds)


def _states(db: sqlite3.Connection, database: str) -> tuple[State, ...]:
    states = []
    rows = db.execute("SELECT record FROM state WHERE database = ? ORDER BY target", (database,)).fetchall()
    for (record,) in rows:
        try:
            states.append(state_from_dict(cast("Mapping[str, object]", json.loads(record))))
        except ValueError:
            continue
    return tuple(states)
