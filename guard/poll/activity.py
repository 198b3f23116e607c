"""What sessions do: how long the longest transaction lasts, what holds back vacuum, how many connections are used, and
what those at work wait for.

Whose doing it is stands in the detail, without a word of a query, which may hold people's data. It ends nobody.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

from guard import sql
from guard.errors import ServerError
from guard.model import Reading
from guard.model.metric import Labels, labelled
from guard.poll.samples import NOT_PERMITTED, silences, words
from guard.ports import Observation
from guard.postgres import Door

TRANSACTION, XMIN = "activity.longest_transaction", "activity.oldest_xmin_age"
CONNECTIONS, USED = "activity.connections", "activity.connections_used"
ACTIVE, WAITING = "activity.active", "activity.waiting"
TYPE: Final = "wait_event_type"
_PARTS: Final = {
    "transaction": {TRANSACTION},
    "xmin": {XMIN},
    "connections": {CONNECTIONS, USED},
    "active": {ACTIVE},
    "waiting": {WAITING},
}


@dataclass(frozen=True, slots=True)
class _Seen:
    permitted: bool
    longest: dict[str, Any] | None
    holders: list[dict[str, Any]] | None
    connections: dict[str, int] | None
    active: int | None
    waiting: dict[str, int] | None
    """Sessions by the type of what they wait for."""


class ActivityProbe:
    """Reads those of *metrics* that rules use, and of *selected* each series: those that wait for one type of event.

    The parts of its one query that none needs are not looked at.
    """

    cheap = False

    def __init__(
        self,
        door: Door,
        metrics: Collection[str],
        *,
        selected: Collection[tuple[str, Labels]] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = "activity"
        self._door = door
        self._metrics = sorted(metrics)
        self._types = sorted({dict(labels)[TYPE] for _, labels in selected})
        wanted = {*metrics, *(metric for metric, _ in selected)}
        self._params = {part: bool(names & wanted) for part, names in _PARTS.items()}
        self._now = clock

    async def poll(self) -> Observation:
        """One round trip."""
        asked = self._now()
        try:
            (seen,) = await self._door.fetch_as(_Seen, sql.get("poll_activity"), self._params)
        except ServerError as error:
            return self.silence(words(error), self._now())
        if not seen.permitted:
            return self.silence(NOT_PERMITTED, asked)
        found = _values(seen)
        readings = [Reading(name, found[name][0], asked, found[name][1]) for name in self._metrics]
        waiting = seen.waiting or {}
        # The server knows of each type, so nobody who waits for it is a measured zero.
        readings += [Reading(_series(each), float(waiting.get(each, 0)), asked) for each in self._types]
        return Observation(tuple(readings))

    def silence(self, why: str, now: float) -> Observation:
        """No sensor has a value."""
        return silences([*self._metrics, *map(_series, self._types)], why, now)

    async def close(self) -> None:
        """Close the probe's connection."""
        await self._door.close()


def _values(seen: _Seen) -> dict[str, tuple[float, str]]:
    """Value and words of each metric that was looked at."""
    found: dict[str, tuple[float, str]] = {}
    # A clock that was set back shows a transaction of the future; it has just begun.
    longest = seen.longest
    found[TRANSACTION] = (max(0.0, float(longest["value"])), _session(longest)) if longest else (0.0, "")
    holder = seen.holders[0] if seen.holders else None
    found[XMIN] = (float(holder["age"]), _holder(holder)) if holder else (0.0, "nothing is held back")
    if seen.connections is not None:
        used, most = seen.connections["used"], seen.connections["most"]
        of_all = f"{used} of {most} that are open to all"
        found[CONNECTIONS] = (float(used), of_all)
        found[USED] = (used / most if most > 0 else float("inf"), of_all)
    found[ACTIVE] = (float(seen.active or 0), "")
    waiting = seen.waiting or {}
    by_type = sorted(waiting.items(), key=lambda each: (-each[1], each[0]))
    found[WAITING] = (float(sum(waiting.values())), ", ".join(f"{kind} {count}" for kind, count in by_type))
    return found


def _series(wait_event_type: str) -> str:
    return labelled(WAITING, [(TYPE, wait_event_type)])


def _session(row: dict[str, Any]) -> str:
    who = f"pid {row['pid']} ({row['usename'] or '?'}, {row['name'] or 'no application_name'})"
    return f"{who}, {row['state']}" if row["state"] else who


def _holder(row: dict[str, Any]) -> str:
    match row["kind"]:
        case "slot":
            return f"replication slot {row['name']}"
        case "prepared":
            return f'prepared transaction "{row["name"]}" of {row["usename"]}'
        case "standby":
            return f"hot_standby_feedback of {row['name'] or '?'}"
        case _:
            return _session(row)
