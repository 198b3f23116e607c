"""Since when a migration has locked tables so that nobody else gets at them. Pure; the time is an argument.

PostgreSQL does not say since when a lock is held. Certain is: at least since it was first seen here, at least as long
as the session has idled since, and never longer than its transaction lasts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


class Held:
    """Remembers when each lock was first seen."""

    def __init__(self) -> None:
        self._since: dict[tuple[int, str, int], float] = {}

    def look(self, rows: Sequence[Row], now: float) -> tuple[float, str, frozenset[int]]:
        """How long the longest has been held for certain, in seconds; which, by whom; and all sessions that hold any.

        *rows* are those of poll_locks_held.sql.
        """
        keys = [(int(row["pid"]), str(row["transaction"]), int(row["relation"])) for row in rows]
        self._since = {key: self._since.get(key, now) for key in keys}
        held = [(_certain(row, now - self._since[key]), row) for key, row in zip(keys, rows, strict=True)]
        if not held:
            return 0.0, "", frozenset()
        seconds, longest = max(held, key=lambda each: (each[0], str(each[1]["table"])))
        tables = sorted({str(row["table"]) for row in rows if row["pid"] == longest["pid"]})
        shown = ", ".join(tables[:5]) + (", ..." if len(tables) > 5 else "")
        return seconds, f"{_who(longest)}: {shown}", frozenset(int(row["pid"]) for row in rows)


def _certain(row: Row, seen: float) -> float:
    idle = float(row["in_state"] or 0.0) if str(row["state"]).startswith("idle in transaction") else 0.0
    return min(max(seen, idle, 0.0), max(0.0, float(row["at_work"] or 0.0)))


def _who(row: Row) -> str:
    who = f"pid {row['pid']} ({row['usename'] or '?'}, {row['name'] or 'no application_name'})"
    return f"{who}, whose transaction is {float(row['at_work'] or 0.0):.1f} s old"
