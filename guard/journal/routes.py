"""Which notices a channel is queued for: what it asks for, and the end of each alarm that it was queued for before.

What a channel asks for, and what is the end of what, is told by its route; here is only remembered which alarms stand.
One that ended while only memory could be written stands again when the file is back: its end is told twice, not never.
"""

from __future__ import annotations

import sqlite3
from typing import Protocol

from guard.model import Notice, Severity

KEPT = 1000
"""So many alarms of a channel are remembered: those of runs whose end nobody ever saw must not pile up."""

_ALARM = "channel = ? AND topic = ? AND database = ? AND migration = ? AND run_id = ?"


class Route(Protocol):
    """What one channel is for."""

    def wants(self, notice: Notice) -> bool:
        """Whether the channel asks for this notice by itself."""

    def topic(self, notice: Notice) -> str:
        """What of its run, or of the guard, the notice is about: an alarm and its end have the same."""

    def place(self, notice: Notice) -> str:
        """The database that the notice is about; empty: the daemon as a whole."""

    def ends(self, notice: Notice) -> bool:
        """Whether an alarm of the same topic is over by it."""


def due(db: sqlite3.Connection, channel: str, route: Route | None, notice: Notice) -> bool:
    """Whether the notice is to be queued; without a route each is."""
    if route is None or route.wants(notice):
        return True
    if not route.ends(notice):
        return False
    found = db.execute(f"SELECT 1 FROM alarm WHERE {_ALARM}", _key(channel, route, notice))  # noqa: S608
    return found.fetchone() is not None


def queued(db: sqlite3.Connection, channel: str, route: Route | None, notice: Notice) -> None:
    """Remember that the channel is told: an alarm stands from now on, or is over."""
    if route is None:
        return
    key = _key(channel, route, notice)
    if route.ends(notice):
        db.execute(f"DELETE FROM alarm WHERE {_ALARM}", key)  # noqa: S608
    elif notice.severity is not Severity.INFO:
        db.execute("INSERT OR REPLACE INTO alarm VALUES (?, ?, ?, ?, ?)", key)
        db.execute(
            "DELETE FROM alarm WHERE channel = ?1 AND rowid NOT IN "
            "(SELECT rowid FROM alarm WHERE channel = ?1 ORDER BY rowid DESC LIMIT ?2)",
            (channel, KEPT),
        )


def _key(channel: str, route: Route, notice: Notice) -> tuple[str, str, str, str, int]:
    return channel, route.topic(notice), route.place(notice), notice.migration, notice.run_id or 0
