"""What a rule's query gave before, by range queries: for baselines, and for limits that are suggested.

It keeps no connection and no thread: it is asked once in a while, and each time may take long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from guard.errors import Refused
from guard.model import Rule
from guard.poll.lone import Lone
from guard.poll.prometheus import Line
from guard.poll.web import why

T = TypeVar("T")

WITHIN: Final = 5.0
"""Seconds for all of an answer. Half an hour of a quantile over many series takes Prometheus longer than one moment of
it, and whoever waits for a baseline would rather go without than wait longer."""
SAMPLES: Final = 180
"""Of one window: their median errs by a tenth of the deviation, and more cost Prometheus more and tell little more."""
SHORTEST_STEP: Final = 0.05
"""Seconds: the shortest poll."""


class PrometheusHistory:
    """Asks what a rule with `prometheus` would have read. *connect* makes a line for one question, within a deadline.

    Moments without a finite value are left out, and those with less traffic than the rule wants to judge by.
    """

    source = "Prometheus"

    def __init__(self, rule: Rule, connect: Callable[[float], Line], *, within: float = WITHIN) -> None:
        self._rule = rule
        self._connect = connect
        self._within = within

    async def samples(self, since_wall: float, until_wall: float) -> list[tuple[float, float]]:
        """(Unix time, value in the rule's base unit) over a time, evenly; SAMPLES of them where all were there.

        Raises Refused, which says why there are none.
        """
        return await self.range(since_wall, until_wall, max(SHORTEST_STEP, (until_wall - since_wall) / SAMPLES))

    async def range(self, since_wall: float, until_wall: float, step: float) -> list[tuple[float, float]]:
        """The same at each *step* seconds. Raises Refused."""
        lone, lines = Lone(f"history:{self._rule.name}"), list[Line]()

        def ask() -> list[tuple[float, float]]:
            # In its thread: what is wrong with a credential or a certificate is a refusal like any other.
            lines.append(self._connect(self._within))
            return self._asked(lines[0], since_wall, until_wall, step)

        try:
            return await lone.run(ask, self._within)
        except TimeoutError:
            raise Refused(f"no answer within {self._within:g} s") from None
        except Exception as error:  # noqa: BLE001  the library leaks errors of any kind
            raise Refused(why(error)) from None
        finally:
            lone.close()
            for line in lines:
                line.abort()
                line.close()

    def _asked(self, line: Line, since: float, until: float, step: float) -> list[tuple[float, float]]:
        rule = self._rule
        found = line.range(rule.query, since, until, step)
        if rule.traffic:
            try:
                traffic = line.range(rule.traffic, since, until, step)
            except Refused as wrong:
                raise Refused(f"traffic: {wrong}") from None
            # Both are asked for the same moments, which come back with three digits after the point.
            enough = {round(at, 3) for at, value in traffic if value >= rule.min_traffic}
            found = [(at, value) for at, value in found if round(at, 3) in enough]
        return [(at, value * rule.scale) for at, value in found]
