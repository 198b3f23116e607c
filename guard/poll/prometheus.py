"""The number that a Prometheus query gives for a rule. One query, one series."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from guard.model import Reading
from guard.poll.lone import Busy, Lone
from guard.poll.samples import silences
from guard.poll.web import Refused, why
from guard.ports import Observation


class Line(Protocol):
    """Asks Prometheus, and blocks meanwhile."""

    def query(self, query: str) -> tuple[Any, float]: ...

    def abort(self) -> None:
        """End a query that is on its way; called from another thread."""

    def close(self) -> None: ...


def connect(
    url: str, *, deadline: float = 2.0, headers: Mapping[str, str] | None = None, verify: bool | str = True
) -> Line:
    """A line to the Prometheus at *url*. *headers* may carry authorisation; *verify* is False or a CA file's path."""
    from guard.poll.prometheus_line import PrometheusLine

    return PrometheusLine(url, deadline=deadline, headers=headers or {}, verify=verify)


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

    def silence(self, why: str, now: float) -> Observation:
        """The rule's query has no value."""
        return silences((self.name,), why, now)

    async def close(self) -> None:
        """Close what is idle; an answer that is still awaited ends by itself."""
        self._lone.close()
        self._line.close()


def single(result: Any) -> tuple[float, float]:
    """The value and the Unix time of the one series in an instant vector. Raises Refused where there is none."""
    if not isinstance(result, list):
        raise Refused("the answer is not one of Prometheus")
    if not result:
        raise Refused("the query gives no series")
    if len(result) > 1:
        raise Refused(f"the query gives {len(result)} series; an aggregate such as sum() or max() makes one of them")
    try:
        stamped, text = result[0]["value"]
        value, stamped_wall = float(text), float(stamped)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise Refused("the answer is not an instant vector") from None
    if math.isnan(value):
        raise Refused("the query gives NaN")
    if not math.isfinite(stamped_wall):
        raise Refused("the answer is not an instant vector")
    return value, stamped_wall
