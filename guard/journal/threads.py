"""What a messenger remembers of what it has sent, such as where the thread of a run stands, across a kill.

It does not know what the records mean. Only the newest are kept: what is older has ended long ago.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from guard.journal.ledger import Ledger

MOST = 200
"""So many are kept of a channel."""


class Threads:
    """The records of one channel, by key. No method raises for what the disk does."""

    most = MOST

    def __init__(self, ledger: Ledger, channel: str) -> None:
        self._ledger = ledger
        self._channel = channel

    def all(self) -> dict[str, dict[str, Any]]:
        """Every record that can be read, oldest first."""
        query = "SELECT key, record FROM thread WHERE channel = ? ORDER BY at_wall"
        rows: list[tuple[str, str]] = self._ledger.transact(
            lambda db: db.execute(query, (self._channel,)).fetchall(), []
        )
        found = {}
        for key, text in rows:
            try:
                record = json.loads(text)
            except ValueError:
                continue
            if isinstance(record, dict):
                found[key] = record
        return found

    def keep(self, key: str, at_wall: float, record: Mapping[str, object]) -> None:
        """Keep or replace a record; the oldest are forgotten for it."""

        def work(db: sqlite3.Connection) -> None:
            row = (self._channel, key, at_wall, json.dumps(record, separators=(",", ":")))
            db.execute("INSERT OR REPLACE INTO thread VALUES (?, ?, ?, ?)", row)
            db.execute(
                "DELETE FROM thread WHERE channel = ?1 AND key NOT IN "
                "(SELECT key FROM thread WHERE channel = ?1 ORDER BY at_wall DESC LIMIT ?2)",
                (self._channel, self.most),
            )

        self._ledger.transact(work, None)
