"""How fast the application's statements are, from pg_stat_statements where the database has it.

Only what has ended is counted there: statements that all hang are no latency but no calls, and so a silence.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from psycopg.sql import SQL, Identifier

from guard import sql
from guard.errors import ServerError
from guard.judge.quantities import say_seconds
from guard.model import Reading, Sample, Silence
from guard.model.metric import Labels, labelled
from guard.poll.estimate import estimate
from guard.poll.rates import NOTHING, Counters
from guard.poll.samples import silences, words
from guard.ports import Observation
from guard.postgres import Door

LATENCY, P95, CALLS = "statements.mean_latency", "statements.p95_latency", "statements.calls_per_second"
QUERY_ID: Final = "queryid"
_MISSING: Final = "this database has no extension pg_stat_statements (create extension pg_stat_statements)"
_UNTRACKED: Final = "pg_stat_statements.track is none, so nothing is counted"
_EVICTED: Final = (
    "pg_stat_statements has dropped entries since the last look, and their counters with them; "
    "where this lasts, raise pg_stat_statements.max"
)


@dataclass(frozen=True, slots=True)
class _Seen:
    id: int | None
    """Query id; None: all statements together."""
    calls: int
    seconds: float
    squares: float | None
    track: str | None
    dealloc: int
    reset: float | None


class StatementsProbe:
    """Reads those of *metrics* that rules use, and of *selected* each series: the statements of one query id.

    Over the last seconds of its own samples.
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
        self.name = "statements"
        self._door = door
        self._series: list[tuple[str, int | None]] = [(metric, None) for metric in sorted(metrics)]
        self._series += [(metric, int(dict(labels)[QUERY_ID])) for metric, labels in sorted(selected)]
        ids = sorted({query_id for _, query_id in self._series if query_id is not None})
        self._params = {"ids": ids, "squares": any(metric == P95 for metric, _ in self._series)}
        self._now = clock
        self._counters: dict[int | None, Counters] = {}
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
            seen = await self._door.fetch_as(_Seen, query, self._params)
        except ServerError as error:
            self._schema = None  # the extension may have been dropped, or moved
            return self.silence(words(error), self._now())
        if seen[0].track == "none":
            return self.silence(_UNTRACKED, asked)
        evicted = self._dealloc not in {None, seen[0].dealloc}
        self._dealloc = seen[0].dealloc
        self._remember(seen, asked)
        return Observation(tuple(self._sample(each, asked, evicted=evicted) for each in self._series))

    async def _where(self) -> str | None:
        if self._schema is None or self._schema[0] != self._door.generation or not self._door.connected:
            rows = await self._door.fetch(sql.get("poll_statements_where"))
            self._schema = (self._door.generation, str(rows[0][0])) if rows else None
        return None if self._schema is None else self._schema[1]

    def _remember(self, seen: Sequence[_Seen], now: float) -> None:
        # A statement without an entry has no counters: once it has one again, that one has begun anew.
        self._counters = {row.id: self._counters.get(row.id) or Counters() for row in seen}
        for row in seen:
            counted = {"calls": float(row.calls), "seconds": row.seconds}
            era = (row.reset, row.dealloc, self._door.host)
            # Squares are summed up from rounded figures, so they alone may seem to go back by a trifle.
            self._counters[row.id].add(now, counted, era, {"squares": row.squares or 0.0})

    def _sample(self, series: tuple[str, int | None], now: float, *, evicted: bool) -> Sample:
        metric, query_id = series
        name, counters = _key(*series), self._counters.get(query_id)
        if counters is None:
            return Silence(name, f"no entry of pg_stat_statements for this database has the query id {query_id}", now)
        calls, spent, squares = (counters.grown(counter) for counter in ("calls", "seconds", "squares"))
        if calls is None or spent is None or squares is None or calls[1] <= 0:
            return Silence(name, _EVICTED if evicted else counters.why, now)
        detail = f"{calls[0]:g} statements in {calls[1]:.3g} s"
        if metric == CALLS:
            return Reading(name, calls[0] / calls[1], now, detail)
        if calls[0] <= 0:
            return Silence(name, f"{NOTHING}no statement has ended in {calls[1]:.3g} s", now)
        if metric == LATENCY:
            return Reading(name, spent[0] / calls[0], now, detail)
        guess = estimate(calls[0], spent[0], squares[0])
        told = f"estimated from mean {say_seconds(guess.mean)} and deviation {say_seconds(guess.deviation)} of {detail}"
        return Reading(name, guess.p95, now, f"{told}; certainly at most {say_seconds(guess.at_most)}")

    def silence(self, why: str, now: float) -> Observation:
        """No sensor has a value."""
        return silences([_key(*each) for each in self._series], why, now)

    async def close(self) -> None:
        """Close the probe's connection."""
        await self._door.close()


def _key(metric: str, query_id: int | None) -> str:
    return metric if query_id is None else labelled(metric, [(QUERY_ID, str(query_id))])
