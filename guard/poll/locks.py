"""Who waits behind a migration's locks, what the migration itself waits for and holds. It cancels nobody."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg.sql import SQL, Composed

from guard import sql
from guard.errors import ServerError
from guard.model import Reading
from guard.poll.held import Held
from guard.poll.queue import Behind, Party, Queue, Waiter
from guard.poll.samples import NOT_PERMITTED, Recognition, silences, words
from guard.ports import Observation
from guard.postgres import Door

QUEUED, ROW_WAITS = "locks.queued_behind_migration", "locks.row_waits_behind_migration"
LONGEST, IDLE = "locks.longest_wait", "locks.idle_in_transaction"
WAITING, IDLE_ALONE = "locks.migration_waiting_for", "locks.migration_idle_in_transaction"
HELD, INVALID = "locks.access_exclusive_held", "locks.invalid_indexes"
QUEUES: Final = (QUEUED, ROW_WAITS, LONGEST, IDLE)
_OF_QUEUE: Final = frozenset({*QUEUES, WAITING})
"""What the second query is for, which is asked only while somebody waits."""
_PARTS: Final = {"idle": IDLE_ALONE, "held": HELD, "invalid": INVALID}


def sensor(metric: str, waited: float) -> str:
    """The key of a metric that counts sessions which have each waited *waited* seconds."""
    return f"{metric}|waited={waited:g}s"


@dataclass(frozen=True, slots=True)
class _Any:
    permitted: bool
    waiting: int
    idle: list[dict[str, Any]] | None
    held: list[dict[str, Any]] | None
    invalid: list[str] | None


@dataclass(frozen=True, slots=True)
class _Seen:
    waiters: list[dict[str, Any]]
    parties: list[dict[str, Any]]
    prepared: list[str] | None


class LocksProbe:
    """Reads those of *metrics* that rules use; what none needs is not looked at.

    Sessions count that have *each* waited behind a migration for as long as each of *waited* says (seconds). Waits for
    tables and for rows are told apart: a queue for a table is ended by cancelling the migration, while many short waits
    for rows only ask for smaller batches.

    One cheap query while nobody waits for any lock, two when somebody does.
    """

    cheap = True

    def __init__(
        self,
        door: Door,
        recognition: Recognition,
        waited: Sequence[float] = (2.0,),
        *,
        metrics: Collection[str] = QUEUES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = "locks"
        self._door = door
        self._recognition = recognition
        self._waited = tuple(sorted(set(waited)))
        self._metrics = frozenset(metrics)
        self._now = clock
        self._held = Held()

    async def poll(self) -> Observation:
        """One round trip, or two."""
        asked = self._now()
        try:
            (seen,) = await self._door.fetch_as(_Any, _first_query(self._metrics), self._recognition.params)
            if not seen.permitted:
                return self.silence(NOT_PERMITTED, asked)
            queue = await self._look() if seen.waiting and self._metrics & _OF_QUEUE else Queue([], [])
        except ServerError as error:
            return self.silence(words(error), self._now())
        found = [*self._queue(queue, asked), *self._alone(seen, asked)]
        return Observation(tuple(reading for reading in found if _metric(reading.sensor) in self._metrics))

    async def _look(self) -> Queue:
        query = SQL(sql.get("poll_locks_queue")).format(migration=SQL(sql.get("poll_migration")))
        (seen,) = await self._door.fetch_as(_Seen, query, self._recognition.params)
        waiters = [Waiter(**row) for row in seen.waiters]
        return Queue(waiters, [Party(**row) for row in seen.parties], seen.prepared or ())

    def _queue(self, queue: Queue, now: float) -> list[Reading]:
        def counted(metric: str, what: str, waited: float) -> Reading:
            waits = queue.waiting(what, waited)
            return Reading(sensor(metric, waited), float(len(waits)), now, _detail(queue, waits), queue.causing(waits))

        idle, who, causing = queue.idle_in_transaction()
        stuck, behind, stuck_pids = queue.migration_waiting()
        waits = queue.waiting("table", 0.0)
        return [
            *(counted(QUEUED, "table", waited) for waited in self._waited),
            *(counted(ROW_WAITS, "row", waited) for waited in self._waited),
            Reading(LONGEST, queue.longest("table"), now, _detail(queue, waits), queue.causing(waits)),
            Reading(IDLE, idle, now, who, causing),
            Reading(WAITING, stuck, now, behind, stuck_pids),
        ]

    def _alone(self, seen: _Any, now: float) -> list[Reading]:
        held, which, holders = self._held.look(seen.held or [], now)
        invalid = seen.invalid or []
        return [
            _idle(seen.idle or [], now),
            Reading(HELD, held, now, which, holders),
            Reading(INVALID, float(len(invalid)), now, _leftovers(invalid)),
        ]

    def silence(self, why: str, now: float) -> Observation:
        """No sensor has a value."""
        counted = (metric for metric in (QUEUED, ROW_WAITS) if metric in self._metrics)
        keys = [sensor(metric, waited) for metric in counted for waited in self._waited]
        return silences([*keys, *sorted(self._metrics - {QUEUED, ROW_WAITS})], why, now)

    async def close(self) -> None:
        """Close the probe's connection."""
        await self._door.close()


def _first_query(metrics: Collection[str]) -> Composed:
    migration = SQL(sql.get("poll_migration"))
    parts = {
        part: SQL(sql.get(f"poll_locks_{part}")).format(migration=migration)
        if metric in metrics
        else SQL("null::jsonb")
        for part, metric in _PARTS.items()
    }
    return SQL(sql.get("poll_locks_any")).format(**parts)


def _metric(key: str) -> str:
    return key.partition("|")[0]


def _detail(queue: Queue, waits: list[Behind]) -> str:
    if not waits:
        return ""
    shown = ", ".join(str(wait.pid) for wait in waits[:5]) + (", ..." if len(waits) > 5 else "")
    return f"pids {shown}: {queue.explain(waits)}"


def _idle(sessions: list[dict[str, Any]], now: float) -> Reading:
    """A clock that was set back shows one that will idle; it has just begun to."""
    longest = max(sessions, key=lambda row: (float(row["in_state"]), int(row["pid"])), default=None)
    if longest is None:
        return Reading(IDLE_ALONE, 0.0, now)
    who = f"pid {longest['pid']} ({longest['usename'] or '?'}, {longest['name'] or 'no application_name'})"
    return Reading(IDLE_ALONE, max(0.0, float(longest["in_state"])), now, who, frozenset({int(longest["pid"])}))


def _leftovers(names: list[str]) -> str:
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{shown}; DROP INDEX CONCURRENTLY takes each away" if names else ""
