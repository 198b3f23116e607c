"""A value that takes long to make: whoever asks is given the one before while the next is made."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from guard.show.aside import Busy

T = TypeVar("T")

log = logging.getLogger(__name__)

SHARE = 10.0
"""A value is good for so many times as long as it took to make: a tenth of a core at most goes into it."""
FIRST = 1.0
"""Seconds for which the first value is waited for."""


class Fresh(Generic[T]):
    """*first* stands until there is one; each is good for *good_for* seconds."""

    def __init__(self, make: Callable[[], Awaitable[T]], first: T, *, good_for: float) -> None:
        self._make, self._good_for = make, good_for
        self._value = first
        self._made: float | None = None
        self._good_until = self._soonest = float("-inf")
        self._task: asyncio.Task[None] | None = None

    async def get(self, *, newer_than: float = float("inf")) -> T:
        """The value; in place of none, or of one older than *newer_than* seconds, the next, waited for briefly."""
        now = time.monotonic()
        stale = self._made is None or now - self._made > newer_than
        if self._task is None and now >= (self._soonest if stale else self._good_until):
            self._task = asyncio.create_task(self._renew())
        if self._task is not None and stale:
            await asyncio.wait({self._task}, timeout=FIRST)
        return self._value

    def expire(self) -> None:
        """Have the next who asks begin with a new one."""
        self._good_until = float("-inf")

    def close(self) -> None:
        """Make no more."""
        if self._task is not None:
            self._task.cancel()

    async def _renew(self) -> None:
        began = time.monotonic()
        try:
            self._value = await self._make()
            self._made = time.monotonic()
        except Busy:
            pass  # the one before will do
        except Exception:
            log.exception("what the page shows could not be read")
        finally:
            now = time.monotonic()
            self._soonest = now + SHARE * (now - began)
            self._good_until = max(now + self._good_for, self._soonest)
            self._task = None
