"""One thread for what would hold up the loop: drawing large pages and reading the flight recorder's file.

It is one, so that pages never take more than one core from the guard, and what waits for it is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

WAITING = 20
"""Pieces of work that wait; whoever comes then is told to come again."""

_Piece = tuple[Callable[[], Any], "asyncio.Future[Any]", asyncio.AbstractEventLoop]


class Busy(Exception):
    """Too much is waiting already."""


class Aside:
    """Does pieces of work one after another. Its thread is a daemon: it holds up no end of the process."""

    def __init__(self) -> None:
        self._pieces: queue.Queue[_Piece | None] = queue.Queue(WAITING)
        self._thread: threading.Thread | None = None

    async def do(self, work: Callable[[], T]) -> T:
        """What *work* returns or raises. Raises Busy."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="page", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        try:
            self._pieces.put_nowait((work, answer, loop))
        except queue.Full:
            raise Busy from None
        return await answer

    def close(self) -> None:
        """End the thread once it is through; nobody waits for it."""
        if self._thread is not None:
            with contextlib.suppress(queue.Full):
                self._pieces.put_nowait(None)
            self._thread = None

    def _run(self) -> None:
        while (piece := self._pieces.get()) is not None:
            work, answer, loop = piece
            if answer.cancelled():
                continue
            try:
                result, error = work(), None
            except Exception as wrong:  # noqa: BLE001  whatever it is, it is told to whoever asked
                result, error = None, wrong
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(_settle, answer, result, error)
            del piece, work, answer, result, error  # a page of 200 kB need not wait for the next one


def _settle(answer: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)
