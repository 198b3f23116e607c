"""How many keys the next batch looks at: by the time that a batch takes, halved where rows were locked. No I/O."""

from __future__ import annotations

import random

FIRST = 500
"""Keys of the first batch: nothing is known of the table yet."""
_CAUTIOUS = 1.25
"""Growth towards a size at which it had to wait for others; elsewhere a batch may be twice as large as the last."""


class Steering:
    """*target*: seconds that a batch is to take. *most*: keys."""

    def __init__(self, target: float, most: int) -> None:
        self._target, self._most = target, most
        self._refused_at: int | None = None
        self.size = min(FIRST, most)

    def took(self, seconds: float, keys: int) -> None:
        """A batch of so many keys was committed."""
        wanted = self._target / max(seconds, 1e-6)
        if keys < self.size:  # the rest of a pass, or cut for another reason: it says little but that it took too long
            self.size = max(1, round(keys * max(wanted, 0.5))) if wanted < 1 else self.size
            return
        if self._refused_at is not None and self.size >= self._refused_at:
            self._refused_at = None
        near = self._refused_at is not None and self.size * 2 >= self._refused_at
        factor = min(max(wanted, 0.5), _CAUTIOUS if near else 2.0)
        grown = round(self.size * factor)
        self.size = max(1, min(grown + (factor > 1 and grown == self.size), self._most))

    def refused(self) -> None:
        """A batch was given up, since it waited for rows of others or took too long."""
        self._refused_at = self.size
        self.size = max(1, self.size // 2)


class Backoff:
    """Seconds before each further try; grows to *most*, and is never the same for two who wait for each other."""

    def __init__(self, first: float = 0.05, most: float = 5.0) -> None:
        self._next, self._most = first, most

    def __next__(self) -> float:
        seconds = self._next * random.uniform(0.5, 1.5)  # noqa: S311 -- not a secret
        self._next = min(self._next * 2, self._most)
        return seconds
