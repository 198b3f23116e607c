"""How long a door waits between two tries to connect. It connects to nothing."""

from __future__ import annotations

import random

_FIRST, _LONGEST = 0.25, 10.0


class Arrivals:
    """When any door of a database came through last: what kept the others out may be over by then."""

    def __init__(self) -> None:
        self.last = float("-inf")


class Backoff:
    """Doubles from a quarter of a second to *longest* seconds, with jitter. All times are those of one monotonic clock.

    A wait ends early when another door of *arrivals* has come through since our last failure: after a long outage the
    probes come back with the first of them, and still a server that refuses everybody is not stormed.
    """

    def __init__(self, arrivals: Arrivals, longest: float = _LONGEST) -> None:
        self._arrivals = arrivals
        self._longest = longest
        self._failures = 0
        self._failed_at = self._until = float("-inf")
        self.why = ""
        """The last failure, in words."""

    def left(self, now: float) -> float:
        """Seconds until the next try; 0 where it may be made now."""
        return 0.0 if self._arrivals.last > self._failed_at else max(0.0, self._until - now)

    def failed(self, now: float, why: str) -> None:
        """A try was in vain."""
        self.why, self._failed_at = why, now
        self._until = now + min(self._longest, _FIRST * 2.0**self._failures) * random.uniform(0.5, 1.0)  # noqa: S311
        self._failures = min(self._failures + 1, 30)

    def arrived(self, now: float) -> None:
        """A try succeeded."""
        self.forget()
        self._arrivals.last = now

    def forget(self) -> None:
        """Whatever failed before says nothing any more."""
        self._failures, self._failed_at, self._until = 0, float("-inf"), float("-inf")

    def hurry(self) -> None:
        """The next try may be made now."""
        self._until = float("-inf")
