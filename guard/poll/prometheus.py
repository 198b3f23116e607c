"""The number that a Prometheus query gives for a rule. One query, one series."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from guard.model import Reading
from guard.poll.lone import Busy, Lone
from guard.poll.samples import silences
from guard.poll.series import single
from guard.poll.web import ANYBODY, Access, Refused, why
from guard.ports import Observation


class Line(Protocol):
    """Asks Prometheus, and blocks meanwhile."""

    def query(self, query: str) -> tuple[Any, float]: ...

    def range(self, query: str, start: float, end: float, step: float) -> list[tuple[float, float]]: ...

    def abort(self) -> None:
        """End a query that is on its way; called from another thread."""

    def close(self) -> None: ...


def connect(url: str, *, deadline: float = 2.0, access: Access = ANYBODY) -> Line:
    """A line to the Prometheus at *url*, or to what speaks like one: Thanos, Mimir, VictoriaMetrics."""
    from guard.poll.prometheus_line import PrometheusLine

    return PrometheusLine(url, deadline=deadline, access=access)


class PrometheusProbe:
    """Reads `prometheus:RULE`: the value of the one series that *query* gives.

    No series, several, NaN, another type of result or an old sample are silences with the reason; an infinite value is
    a value. *deadline* covers all of a query, in seconds; a query that is still on its way then is not asked a second
    time until it has ended. The value times *scale* is the reading. The line is the probe's own.

    A series that vanished is still answered for 5 minutes (Prometheus' look-back), stamped with the time of the query:
    only the query itself can tell, as with ``timestamp()`` or a rate over a short window.
    """

    cheap = False

    def __init__(
        self,
        rule: str,
        query: str,
        line: Line,
        *,
        scale: float = 1.0,
        deadline: float = 2.0,
        stale_after: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = f"prometheus:{rule}"
        self._query = query
        self._line = line
        self._scale = scale
        self._deadline = deadline
        self._stale_after = stale_after
        self._now = clock
        self._lone = Lone(self.name)

    async def poll(self) -> Observation:
        """One HTTP request, in a thread of its own."""
        asked = self._now()
        try:
            result, answered_wall = await self._lone.run(lambda: self._line.query(self._query), self._deadline)
            value, stamped_wall = single(result)
        except Busy:
            return self.silence("Prometheus: still waiting for the previous answer", asked)
        except TimeoutError:
            self._line.abort()
            return self.silence("Prometheus: no answer in time", self._now())
        except Exception as error:  # noqa: BLE001  the library leaks errors of any kind
            return self.silence(f"Prometheus: {why(error)}", self._now())
        # Dates of HTTP have whole seconds.
        age = max(0.0, answered_wall - stamped_wall - 1.0)
        if age > self._stale_after:
            return self.silence(f"Prometheus: the sample is {age:.0f} s old", asked)
        return Observation((Reading(self.name, value * self._scale, asked - age),))

    async def history(self, start: float, end: float, step: float) -> list[tuple[float, float]]:
        """What the query gave before: pairs of a Unix time and the value as the probe would have read it.

        From *start* to *end*, Unix times, at each *step* seconds; a moment without a finite value is left out. One HTTP
        request within the deadline; a poll meanwhile is a silence. Raises Refused, which says why, for people.
        """
        try:
            found = await self._lone.run(lambda: self._line.range(self._query, start, end, step), self._deadline)
        except Busy:
            raise Refused("still waiting for the previous answer") from None
        except TimeoutError:
            self._line.abort()
            raise Refused("no answer in time") from None
        except Exception as error:  # noqa: BLE001  the library leaks errors of any kind
            raise Refused(why(error)) from None
        return [(at, value * self._scale) for at, value in found]

    def silence(self, why: str, now: float) -> Observation:
        """The rule's query has no value."""
        return silences((self.name,), why, now)

    async def close(self) -> None:
        """Close what is idle; an answer that is still awaited ends by itself."""
        self._lone.close()
        self._line.close()
