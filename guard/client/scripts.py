"""Waits on behalf of a script, which can only call a command between two of its steps.

It begins no batch and ends no run but one that it has announced itself.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import psycopg

from guard.client.asking import Answer, Line
from guard.client.migration import Migration
from guard.client.outcomes import GuardLost, Paused

log = logging.getLogger("guard.client")


def wait_for_proceed(
    connection: psycopg.Connection[Any],
    name: str,
    timeout: float | None = None,
    *,
    poll: float = 0.5,
    on_wait: Callable[[str], None] = log.warning,
) -> None:
    """Return when migration *name* may go on: for scripts that can only call a command between two steps.

    It asks for the newest open run of that name; where there is none it announces one for the time of the wait.

    Raises Aborted; Paused or GuardLost when that has lasted for *timeout* seconds (None: for ever).
    """
    end = None if timeout is None else time.monotonic() + timeout
    migration = _Waiter(connection, name, poll=poll, on_wait=on_wait, end=end)
    run_id = Line(connection).run("client_live_run", name)[0]
    if run_id is None:
        with migration:
            migration.checkpoint()
        return
    migration.join(run_id)
    migration.checkpoint()


class _Waiter(Migration):
    """A checkpoint that ends in time, also for somebody else's run."""

    def __init__(self, connection: psycopg.Connection[Any], name: str, *, end: float | None, **more: Any) -> None:
        super().__init__(connection, name, exclusive=False, give_up_after=float("inf"), **more)
        self._end = end
        self._joined = False

    def join(self, run_id: int) -> None:
        self._begin(run_id)
        self._joined = True

    def _acknowledge(self, answer: Answer) -> None:
        if not self._joined:  # only a run's own session can say what it keeps to
            super()._acknowledge(answer)

    def _refuse_to_wait(self, answer: Answer, kind: str, lost_for: float) -> None:
        super()._refuse_to_wait(answer, kind, lost_for)
        if self._end is not None and time.monotonic() > self._end:
            raise (GuardLost if kind == "lost" else Paused)(f"Migration {self.name} still waits: {answer.because}")
