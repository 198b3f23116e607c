"""One number by a query of the administrator's own: read-only, bounded in time and in rows. It is never taken on trust.

The query stands as a subquery, so it can be nothing but one that returns rows, of which two are enough to see that they
are too many; it is sent as one statement, which cannot hold a second; and its transaction is READ ONLY, whatever a
function in it would like. What a function does beside tables (sleep, lock, signal) the guard's role may do as well.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from guard.errors import ServerError
from guard.model import Reading, Sample, Silence
from guard.poll.samples import silences, words
from guard.ports import Observation
from guard.postgres import Connection, Door


class QueryProbe:
    """Asks *query* for the rule *rule*; its answer times *scale* is the value. The door's timeouts are the query's.

    Not one row, not one column, NULL, not a number, an error, or a write: a silence with the reason.
    """

    cheap = False

    def __init__(
        self,
        door: Door,
        rule: str,
        query: str,
        *,
        scale: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = f"sql:{rule}"
        self._door = door
        self._door.on_connect = _read_only
        # The administrator's own words; on lines to themselves, since they may end with a comment.
        self._query = f"select * from (\n{query.strip().rstrip(';')}\n) as answer limit 2".encode()  # noqa: S608
        self._scale = scale
        self._now = clock

    async def poll(self) -> Observation:
        """One transaction: its beginning, the query, its end."""
        asked = self._now()
        try:
            rows = await self._door.transact(self._ask)
        except ServerError as error:
            return self.silence(words(error), self._now())
        return Observation((self._sample(rows, asked),))

    async def _ask(self, connection: Connection) -> list[tuple[Any, ...]]:
        async with connection.cursor() as cursor:
            # In binary, because only then the driver sends it as a statement that can hold no second one.
            await cursor.execute(self._query, binary=True)
            return await cursor.fetchall()

    def _sample(self, rows: list[tuple[Any, ...]], asked: float) -> Sample:
        if not rows:
            return Silence(self.name, "the query returned no row", asked)
        if len(rows) > 1:
            return Silence(self.name, "the query returned more than one row", asked)
        if len(rows[0]) != 1:
            return Silence(self.name, f"the query returned {len(rows[0])} columns, not one", asked)
        value = rows[0][0]
        if value is None:
            return Silence(self.name, "the query returned NULL", asked)
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            return Silence(self.name, f"the query returned a value of type {_kind(value)}, not a number", asked)
        number = float(value) * self._scale
        if math.isnan(number):
            return Silence(self.name, "the query returned NaN, which is not a number", asked)
        return Reading(self.name, number, asked)

    def silence(self, why: str, now: float) -> Observation:
        """There is no value."""
        return silences((self.name,), why, now)

    async def close(self) -> None:
        """Close the probe's connection."""
        await self._door.close()


async def _read_only(connection: Connection) -> None:
    await connection.set_read_only(True)


def _kind(value: object) -> str:
    return {"str": "text", "bool": "boolean", "timedelta": "interval (try extract(epoch from ...))"}.get(
        type(value).__name__, type(value).__name__
    )
