"""The rows of the outbox: what waits to be told, in order, and what became of it.

It does not send. One row a notice and channel, so that a dead channel holds no other up; a notice that is known
already, by its id, is passed over, and so is one that a channel does not ask for (guard.journal.routes).
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from guard.journal.routes import Route, due, queued
from guard.model import EVERYONE, Notice, Severity
from guard.records import notice_from_dict, notice_to_dict

KEPT_KINDS = frozenset(
    {"paused", "cancelled", "cancel_failed", "rollback_due", "rolling_back", "rolled_back", "rollback_failed"}
    | {"rollback_unverified", "rollback_withheld", "aborted", "soaking", "ended", "gone"}
    | {"can_signal", "can_see", "fed", "journal"}
)
"""Never dropped, whatever their severity: without them a reader would believe something false."""

KNOWN = 2000
"""So many settled rows are kept, to recognise a notice that is offered again after a restart."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A notice that waits on one channel."""

    seq: int
    channel: str
    notice: Notice
    tries: int
    next_try_wall: float


@dataclass(frozen=True, slots=True)
class Backlog:
    """How a channel stands, for people."""

    waiting: int
    dead: int
    """Given up: refused for ever, or dropped because too much was waiting."""
    oldest_wall: float | None
    last_sent_wall: float | None


_ADD = """
INSERT OR IGNORE INTO outbox (channel, notice_id, database, migration, run_id, severity, expendable, record) VALUES
    (:channel, :notice_id, :database, :migration, :run_id, :severity, :expendable, :record)
"""


def add(db: sqlite3.Connection, channels: Mapping[str, Route | None], notices: Sequence[Notice]) -> None:
    """Queue each notice once on each channel whose route leads there."""
    for notice in notices:
        row = {
            "notice_id": notice.notice_id,
            "database": notice.database,
            "migration": notice.migration,
            "run_id": notice.run_id,
            "severity": notice.severity.value,
            "expendable": notice.severity is Severity.INFO and notice.kind not in KEPT_KINDS,
            "record": json.dumps(notice_to_dict(notice), default=str),
        }
        for channel, route in channels.items():
            # What is known already opens and ends no alarm for a second time.
            if due(db, channel, route, notice) and db.execute(_ADD, row | {"channel": channel}).rowcount:
                queued(db, channel, route, notice)


def shed(db: sqlite3.Connection, channel: str, bound: int) -> None:
    """Give up the oldest news that nobody will miss where more than `bound` wait, and forget what was settled long ago.

    Pauses, cancels, rollbacks and ends stay, even beyond the bound; so does the last word on each run, whatever it is:
    after a "paused" that stays, a "resumed" that is missing would be believed.
    """
    (count,) = db.execute("SELECT count(*) FROM waiting WHERE channel = ?", (channel,)).fetchone()
    if count > bound:
        db.execute(
            "UPDATE outbox SET dead_reason = 'dropped: too many were waiting' WHERE seq IN "
            "(SELECT seq FROM waiting WHERE channel = ?1 AND expendable AND seq NOT IN "
            "(SELECT max(seq) FROM waiting WHERE channel = ?1 GROUP BY database, migration, run_id) "
            "ORDER BY seq LIMIT ?2)",
            (channel, count - bound),
        )
    db.execute(
        "DELETE FROM outbox WHERE channel = ? AND (sent_wall IS NOT NULL OR dead_reason IS NOT NULL) "
        "AND seq <= (SELECT max(seq) FROM outbox) - ?",
        (channel, KNOWN),
    )


def waiting(db: sqlite3.Connection, channel: str, limit: int) -> tuple[Entry, ...]:
    """What waits on a channel, oldest first. A row that cannot be read is given up, since it would block the rest."""
    query = "SELECT seq, record, tries, next_try_wall FROM waiting WHERE channel = ? ORDER BY seq LIMIT ?"
    entries = []
    for seq, record, tries, next_try_wall in db.execute(query, (channel, limit)).fetchall():
        try:
            notice = notice_from_dict(json.loads(record))
        except ValueError as error:
            db.execute("UPDATE outbox SET dead_reason = ? WHERE seq = ?", (f"unreadable: {error}", seq))
        else:
            entries.append(Entry(seq, channel, notice, tries, next_try_wall))
    return tuple(entries)


def newest(db: sqlite3.Connection, database: str, kinds: Collection[str]) -> Notice | None:
    """The newest notice about a guard itself of one of these kinds, on whichever channel, sent or not."""
    query = "SELECT record FROM outbox WHERE database = ? AND migration = ? ORDER BY seq DESC"
    for (record,) in db.execute(query, (database, EVERYONE)):
        with contextlib.suppress(ValueError):
            notice = notice_from_dict(json.loads(record))
            if notice.kind in kinds:
                return notice
    return None


def backlog(db: sqlite3.Connection, channel: str) -> Backlog:
    """Count what waits and what was given up."""
    dead, sent = db.execute(
        "SELECT count(dead_reason), max(sent_wall) FROM outbox "
        "WHERE channel = ? AND (sent_wall IS NOT NULL OR dead_reason IS NOT NULL)",
        (channel,),
    ).fetchone()
    (count,) = db.execute("SELECT count(*) FROM waiting WHERE channel = ?", (channel,)).fetchone()
    first = waiting(db, channel, 1)
    return Backlog(count, dead, first[0].notice.at_wall if first else None, sent)
