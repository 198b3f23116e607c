"""How fast the application's statements are, from pg_stat_statements where the database has it.

Only what has ended is counted there: statements that all hang are no latency but no calls, and so a silence.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from psycopg.sql import SQL, Identifier

from guard import sql
from guard.errors import ServerError
from guard.model import Reading, Sample, Silence
from guard.poll.rates import Counters
from guard.poll.samples import silences, words
from guard.ports import Observation
from guard.postgres import Door

LATENCY, CALLS = "statements.mean_latency", "statements.calls_per_second"
_MISSING: Final = "this database has no extension pg_stat_statements (create extension pg_stat_statements)"
_UNTRACKED: Final = "pg_stat_statements.track is none, so nothing is counted"
_EVICTED: Final = (
    "pg_stat_statements has dropped entries since the last look, and their counters with them; "
    "where this lasts, raise pg_stat_statements.max"
)


@dataclass(frozen=True, slots=True)
class _Seen:
    calls: int
    seconds: float
    track: str | None
    dealloc: int
    reset: float | None


class StatementsProbe:
    """Reads those of *metrics* that rules use, over the last seconds of its own samples."""

    cheap = False

    def __init__(self, door: Door, metrics: Collection[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = "statements"
        self._door = door
        self._metrics = sorted(metrics)
        self._now = clock
        self._counters = Counters()
        self._dealloc: int | None = None
        self._schema: tuple[int, str] | None = None
        """Of the extension, and on which generation of the door it was found."""

    async def poll(self) -> Observation:
        """One round trip; one more on a new connection."""
        asked = self._now()
        try:
            schema = await self._where()
            if schema is None:
                return self.silence(_MISSING, asked)
            query = SQL(sql.get("poll_statements")).format(schema=Identifier(schema))
            (seen,) = await self._door.fetch_as(_Seen, query)
        except ServerError as error:
            self._schema = None  # the extension may have been dropped, or moved
            return self.silence(words(error), self._now())
        if seen.track == "none":
            return self.silence(_UNTRACKED, asked)
        evicted = self._dealloc not in {None, seen.dealloc}
        self._dealloc = seen.dealloc
        counted = {"calls": float(seen.calls), "seconds": seen.seconds}
        self._counters.add(asked, counted, (seen.reset, seen.dealloc, self._door.host))
        return Observation(tuple(self._sample(name, asked, evicted=evicted) for name in self._metrics))

    async def _where(self) -> str | None:
        if self._schema is None or self._schema[0] != self._door.generation or not self._door.connected:
            rows = await self._door.fetch(sql.get("poll_statements_where"))
            self._schema = (self._door.generation, str(rows[0][0])) if rows else None
        return None if self._schema is None else self._schema[1]

    def _sample(self, name: str, now: float, *, evicted: bool) -> Sample:
        calls, spent = self._counters.grown("calls"), self._counters.grown("seconds")
        if calls is None or spent is None or calls[1] <= 0:
            return Silence(name, _EVICTED if evicted else self._counters.why, now)
        detail = f"{calls[0]:g} statements in {calls[1]:.3g} s"
        if name == CALLS:
            return Reading(name, calls[0] / calls[1], now, detail)
        if calls[0] <= 0:
            return Silence(name, f"no statement has ended in {calls[1]:.3g} s", now)
        return Reading(name, spent[0] / calls[0], now, detail)

    def silence(self, why: str, now: float) -> Observation:
        """No sensor has a value."""
        return silences(self._metrics, why, now)

    async def close(self) -> None:
        """Close the probe's connection."""
        await self._door.close()
