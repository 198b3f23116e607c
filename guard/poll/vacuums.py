"""Which vacuum works on a table of the migration, and for how long. Pure.

A migration that is paused by this holds no lock any more, and its table is vacuumed still: so a vacuum that was once
seen on a table of the migration counts until it has ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


class Vacuums:
    """Remembers the vacuums that were seen on a table which a migration had locked or waited for."""

    def __init__(self) -> None:
        self._seen: set[tuple[int, int, float]] = set()

    def look(self, rows: Sequence[Row]) -> tuple[float, str]:
        """How long the longest of them has worked on its table, in seconds, and what it is in words; 0 without any.

        *rows* are those of poll_vacuum.sql.
        """
        self._seen = {_key(row) for row in rows if row["touched"] or _key(row) in self._seen}
        ours = [(max(0.0, float(row["lasting"] or 0.0)), row) for row in rows if _key(row) in self._seen]
        if not ours:
            return 0.0, ""
        seconds, longest = max(ours, key=lambda each: (each[0], str(each[1]["name"])))
        return seconds, _words(longest)


def _key(row: Row) -> tuple[int, int, float]:
    return int(row["pid"]), int(row["relation"]), float(row["began"] or 0.0)


def _words(row: Row) -> str:
    who = f"pid {row['pid']}"
    if not row["automatic"]:
        return (
            f"VACUUM of {row['name']} by {who} ({row['usename']}, {row['application_name'] or 'no application_name'})"
        )
    why = "to prevent wraparound, which must be left to finish" if row["wraparound"] else "which yields to who waits"
    return f"autovacuum of {row['name']}, {who}, {why}"
