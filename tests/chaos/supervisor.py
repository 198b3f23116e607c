"""Starts a program again whenever it has ended, as systemd would, and remembers each of its lives.

It decides nothing about the ends that it sees; who asked for it is told the exit code.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.acceptance.house import Process

_LOOK = 0.02
_HARMLESS = (signal.SIGSTOP, signal.SIGCONT, signal.SIGHUP)
Start = Callable[[], Process]
Ended = Callable[[int, bool], None]


@dataclass(slots=True)
class Life:
    """One process, in wall times."""

    pid: int
    began: float
    ended: float | None = None
    code: int | None = None


class Supervisor:
    """A program that is there again *after* seconds.

    *ended* is called before the next start with its exit code, and whether we had asked for the end by a signal.
    """

    def __init__(self, name: str, start: Start, *, after: float, ended: Ended) -> None:
        self.name = name
        self.lives: list[Life] = []
        self.broken = ""
        """Why it starts nothing any more: an exception of ours."""
        self._start, self._after, self._ended = start, after, ended
        self._process: Process | None = None
        self._not_before = 0.0
        self._asked = False
        self._closing = threading.Event()
        self._lock = threading.RLock()
        self._thread = threading.Thread(target=self._keep, name=name, daemon=True)
        self._thread.start()

    def restart_after(self, seconds: float) -> None:
        """Have it there again sooner or later than was said at first."""
        self._after = seconds

    @property
    def pid(self) -> int | None:
        """Of the living process; None between two lives."""
        with self._lock:
            return self._process.child.pid if self._process and self._process.child.running else None

    def send(self, number: signal.Signals, *, away: float = 0.0) -> None:
        """Send a signal, where it lives; if it dies, let it be away for so many seconds at least."""
        with self._lock:
            self._not_before = time.monotonic() + away
            self._asked = self._asked or number not in _HARMLESS
            if self._process is not None and self._process.child.running:
                with contextlib.suppress(ProcessLookupError):
                    self._process.send(number)

    def close(self) -> None:
        """End the process, and start none again."""
        self._closing.set()
        self._thread.join(30)
        if self._process is not None:
            self._process.close()

    def _keep(self) -> None:
        try:
            while not self._closing.wait(_LOOK):
                self._look_after(self._process)
        except Exception as error:  # noqa: BLE001 -- a thread has nobody to raise to
            self.broken = f"{self.name}: {error!r}"

    def _look_after(self, process: Process | None) -> None:
        if process is None:
            if time.monotonic() >= self._not_before:
                self._begin()
        elif (code := process.child.wait(0)) is not None:
            process.child.stop()
            life = self.lives[-1]
            life.ended, life.code = time.time(), code
            with self._lock:
                asked, self._asked = self._asked, False
            self._ended(code, asked)
            with self._lock:
                self._process = None
                self._not_before = max(self._not_before, time.monotonic() + self._after)

    def _begin(self) -> None:
        with self._lock:
            self._process = self._start()
            self.lives.append(Life(self._process.child.pid, time.time()))
