"""The number that a Prometheus query gives for a rule. One query, one series."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol

from guard.errors import Refused
from guard.judge.quantities import say
from guard.model import Dimension, Reading, Silence
from guard.poll.lone import Busy, Lone
from guard.poll.samples import silences
from guard.poll.series import single
from guard.poll.web import ANYBODY, Access, why
from guard.ports import Observation


class Line(Protocol):
    """Asks Prometheus, and blocks meanwhile."""

    def query(self, query: str) -> tuple[Any, float]:
        """The `result` of an instant query, and the Unix time at which it was answered."""

    def range(self, query: str, start: float, end: float, step: float) -> list[tuple[float, float]]:
        """(Unix time, value) of the query's one series, at each *step* seconds where it had a finite value."""

    def abort(self) -> None:
        """End a query that is on its way; called from another thread."""

    def close(self) -> None: ...


def connect(url: str, *, deadline: float = 2.0, access: Access = ANYBODY) -> Line:
    """A line to the Prometheus at *url*, or to what speaks like one: Thanos, Mimir, VictoriaMetrics."""
    from guard.poll.prometheus_line import PrometheusLine

    return PrometheusLine(url, deadline=deadline, access=access)


@dataclass(frozen=True, slots=True)
class Traffic:
    """How much there is to judge by: below *at_least* of what *query* gives, the rule abstains."""

    query: str
    at_least: float


class TooLittle(Exception):
    """There is less traffic than the rule wants; says how much, for people."""


class PrometheusProbe:
    """Reads `prometheus:RULE`: the value of the one series that *query* gives.

    No series, several, NaN, another type of result or an old sample are silences with the reason; an infinite value is
    a value. *deadline* covers all of a query, in seconds; a query that is still on its way then is not asked a second
    time until it has ended. The value times *scale* is the reading. The line is the probe's own. *traffic* is asked
    first where it is given, within the same deadline.

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
        traffic: Traffic | None = None,
    ) -> None:
        self.name = f"prometheus:{rule}"
        self._query = query
        self._line = line
        self._scale = scale
        self._deadline = deadline
        self._stale_after = stale_after
        self._now = time.monotonic
        self._traffic = traffic
        self._lone = Lone(self.name)

    async def poll(self) -> Observation:
        """One HTTP request, or two where traffic is asked first, in a thread of its own."""
        asked = self._now()
        try:
            value, age = await self._lone.run(self._ask, self._deadline)
        except Busy:
            return self.silence("Prometheus: still waiting for the previous answer", asked)
        except TooLittle as little:
            return Observation((Silence(self.name, str(little), asked, abstains=True),))
        except TimeoutError:
            self._line.abort()
            return self.silence("Prometheus: no answer in time", self._now())
        except Exception as error:  # noqa: BLE001  the library leaks errors of any kind
            return self.silence(f"Prometheus: {why(error)}", self._now())
        return Observation((Reading(self.name, value * self._scale, asked - age),))

    def _ask(self) -> tuple[float, float]:
        if self._traffic is not None:
            try:
                found, _ = self._one(self._traffic.query)
            except Refused as wrong:
                # No number is not no traffic: an exporter that is gone must not make its rule abstain.
                raise Refused(f"traffic: {wrong}") from None
            if found < self._traffic.at_least:
                raise TooLittle(
                    f"traffic {say(found, Dimension.COUNT)} < {say(self._traffic.at_least, Dimension.COUNT)}"
                )
        return self._one(self._query)

    def _one(self, query: str) -> tuple[float, float]:
        """The value, and its age in seconds. Raises Refused where that is too much."""
        result, answered_wall = self._line.query(query)
        value, stamped_wall = single(result)
        # Dates of HTTP have whole seconds.
        age = max(0.0, answered_wall - stamped_wall - 1.0)
        if age > self._stale_after:
            raise Refused(f"the sample is {age:.0f} s old")
        return value, age

    def silence(self, why: str, now: float) -> Observation:
        """The rule's query has no value."""
        return silences((self.name,), why, now)

    async def close(self) -> None:
        """Close what is idle; an answer that is still awaited ends by itself."""
        self._lone.close()
        self._line.close()
