"""The run of a command: what the guard orders, asked while the command is at work, and how it ended.

Unlike a loop that asks, a command does not stop by itself: so a pause is acknowledged only when nothing of it is in
flight. It touches no process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any

import psycopg

from guard.client import Migration
from guard.client.asking import Answer
from guard.client.migration import OnGuardLost

POLL = 0.2
"""Seconds between two questions."""
_ALIVE_EVERY = 5.0


class Stopped(Exception):
    """Somebody has told us to end while we waited."""


class OutOfTime(Exception):
    """All the time for waiting is used up; the message says for what it was."""


class Stall:
    """The time that may be spent on waiting, in seconds: it runs while no try does."""

    def __init__(self, limit: float) -> None:
        self.limit, self._used, self._since = limit, 0.0, time.monotonic()
        self._running = True

    @property
    def used(self) -> float:
        return self._used + (time.monotonic() - self._since if self._running else 0.0)

    @property
    def left(self) -> float:
        return self.limit - self.used

    def run(self, *, on: bool) -> None:
        """Count from now on, or no more."""
        self._used, self._since, self._running = self.used, time.monotonic(), on


class Steering(Migration):
    """A run whose work is somebody else's process; `outcome` and `detail` are what is recorded at its end."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        name: str,
        *,
        stall: Stall,
        stopping: threading.Event,
        on_guard_lost: OnGuardLost,
        give_up_after: float,
        on_wait: Callable[[str], None],
    ) -> None:
        super().__init__(
            connection, name, on_guard_lost=on_guard_lost, give_up_after=give_up_after, poll=POLL, on_wait=on_wait
        )
        self._stall, self._stopping = stall, stopping
        self.outcome, self.detail = "failed", ""

    def look(self) -> Answer:
        """What the run is told now, without waiting: `proceed`, `pause`, `abort` or `lost`. Raises psycopg.Error."""
        answer = self._asker.ask()
        answer = replace(answer, kind=self._kind(answer, time.monotonic()))
        if answer.kind == "lost" and self._on_guard_lost == "proceed":
            answer = replace(answer, kind="proceed")
        if answer.kind == "proceed":
            self._acknowledge(answer)
        elif answer.source != "server" and time.monotonic() - self._written_at > _ALIVE_EVERY:
            self._acknowledge(replace(answer, epoch=None))
        self._report()
        return answer

    def settled(self, answer: Answer) -> None:
        """Nothing is in flight: the order is kept to. Raises psycopg.Error."""
        self._acknowledge(answer)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._write_progress()
            self._line.run("client_finish", self.run_id, self.outcome, self.detail or None)
        except psycopg.Error:
            self._on_wait("the end of the run is not recorded: the connection to PostgreSQL broke")

    def _refuse_to_wait(self, answer: Answer, kind: str, lost_for: float) -> None:
        super()._refuse_to_wait(answer, kind, lost_for)
        if self._stopping.is_set():
            raise Stopped
        if self._stall.left <= 0:
            raise OutOfTime(f"{kind}: {answer.because}")
