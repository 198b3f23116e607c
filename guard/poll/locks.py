"""Who waits behind a migration's locks. It cancels nobody."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from guard import sql
from guard.errors import ServerError
from guard.model import Reading
from guard.poll.queue import Behind, Party, Queue, Waiter
from guard.poll.samples import NOT_PERMITTED, Recognition, silences, words
from guard.ports import Observation
from guard.postgres import Door

QUEUED, ROW_WAITS = "locks.queued_behind_migration", "locks.row_waits_behind_migration"
LONGEST, IDLE = "locks.longest_wait", "locks.idle_in_transaction"


def sensor(metric: str, waited: float) -> str:
    """The key of a metric that counts sessions which have each waited *waited* seconds."""
    return f"{metric}|waited={waited:g}s"


@dataclass(frozen=True, slots=True)
class _Seen:
    waiters: list[dict[str, Any]]
    parties: list[dict[str, Any]]


class LocksProbe:
    """Counts sessions that have *each* waited behind a migration for as long as each of *waited* says (seconds).

    Waits for tables and for rows are told apart: a queue for a table is ended by cancelling the migration, while
    many short waits for rows only ask for smaller batches. `locks.longest_wait` is the longest wait for a table, and
    `locks.idle_in_transaction` how long a migration idles in a transaction while somebody waits for its locks.

    One cheap query while nobody waits for any lock, two when somebody does.
    """

    cheap = True

    def __init__(
        self,
        door: Door,
        recognition: Recognition,
        waited: tuple[float, ...] = (2.0,),
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = "locks"
        self._door = door
        self._recognition = recognition
        self._waited = tuple(sorted(set(waited)))
        self._now = clock

    async def poll(self) -> Observation:
        """One round trip, or two."""
        asked = self._now()
        try:
            ((permitted, waiting),) = await self._door.fetch(sql.get("poll_locks_any"))
            if not permitted:
                return self.silence(NOT_PERMITTED, asked)
            queue = await self._look() if waiting else Queue([], [])
        except ServerError as error:
            return self.silence(words(error), self._now())
        return Observation(tuple(self._readings(queue, asked)))

    async def _look(self) -> Queue:
        (seen,) = await self._door.fetch_as(_Seen, sql.get("poll_locks_queue"), self._recognition.params)
        return Queue([Waiter(**row) for row in seen.waiters], [Party(**row) for row in seen.parties])

    def _readings(self, queue: Queue, now: float) -> list[Reading]:
        def counted(metric: str, what: str, waited: float) -> Reading:
            waits = queue.waiting(what, waited)
            return Reading(sensor(metric, waited), float(len(waits)), now, _detail(queue, waits), queue.causing(waits))

        idle, who, causing = queue.idle_in_transaction()
        waits = queue.waiting("table", 0.0)
        return [
            *(counted(QUEUED, "table", waited) for waited in self._waited),
            *(counted(ROW_WAITS, "row", waited) for waited in self._waited),
            Reading(LONGEST, queue.longest("table"), now, _detail(queue, waits), queue.causing(waits)),
            Reading(IDLE, idle, now, who, causing),
        ]

    def silence(self, why: str, now: float) -> Observation:
        """No sensor has a value."""
        counted = [sensor(metric, waited) for metric in (QUEUED, ROW_WAITS) for waited in self._waited]
        return silences([*counted, LONGEST, IDLE], why, now)

    async def close(self) -> None:
        """Close the probe's connection."""
        await self._door.close()


def _detail(queue: Queue, waits: list[Behind]) -> str:
    if not waits:
        return ""
    shown = ", ".join(str(wait.pid) for wait in waits[:5]) + (", ..." if len(waits) > 5 else "")
    return f"pids {shown}: {queue.explain(waits)}"
