"""One thread for one probe, for libraries that block. While it is busy, nothing more is asked of it.

The event loop's own threads are few and shared: a handful of hanging name lookups would take all of them, and with
them every other connection that is to be made.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import TypeVar, cast

T = TypeVar("T")


class Busy(Exception):
    """The work before has not ended."""


class Lone:
    """A daemon thread of its own, started when first needed; a hang in it does not hinder the program's end."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._busy = threading.Event()

    async def run(self, work: Callable[[], T], deadline: float) -> T:
        """Have *work* done and wait for it for *deadline* seconds at most; what it raises passes through.

        Raises Busy while the work before has not ended, TimeoutError when the deadline passes (the work goes on).
        """
        if self._busy.is_set():
            raise Busy
        loop = asyncio.get_running_loop()
        done: asyncio.Future[tuple[T | None, Exception | None]] = loop.create_future()

        def settle(outcome: tuple[T | None, Exception | None]) -> None:
            if not done.done():
                done.set_result(outcome)

        def job() -> None:
            try:
                outcome: tuple[T | None, Exception | None] = (work(), None)
            except Exception as error:  # noqa: BLE001  it is raised again where the answer is awaited
                outcome = (None, error)
            self._busy.clear()
            with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
                loop.call_soon_threadsafe(settle, outcome)

        self._busy.set()
        self._start()
        self._jobs.put(job)
        result, error = await asyncio.wait_for(done, deadline)
        if error is not None:
            raise error
        return cast("T", result)

    def close(self) -> None:
        """Let the thread end once it is free. It is not waited for."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread = None

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
