"""Processes of the acceptance tests: the daemon, and a migration that logs its batches.

They are started, signalled and read here; what they are to do is the house's business.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from guard.demo.child import Child
from tests.tools import another_time
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]


class Process:
    """The daemon or a migration."""

    def __init__(self, command: list[str], output: Path, environment: Mapping[str, str] | None = None) -> None:
        self.child = Child(command, output=output, environment=environment)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it."""
        os.kill(self.child.pid, number)

    def freeze(self) -> None:
        """SIGSTOP."""
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.send(signal.SIGCONT)

    def kill(self) -> float:
        """SIGKILL; the wall time of it."""
        at = time.time()
        self.send(signal.SIGKILL)
        assert self.child.wait(10) == -signal.SIGKILL
        self.child.stop()
        return at

    def wait(self, within: float = 15.0) -> int:
        """Its exit code. Raises TimeoutError."""
        code = self.child.wait(within)
        if code is None:
            raise TimeoutError(f"not within {within:g} s: the end of it; it says:\n{self.text()}")
        self.child.stop()
        return code

    def text(self) -> str:
        """All that it has printed."""
        return self.child.output.read_text(errors="replace")

    def wait_says(self, words: str, within: float = 10.0) -> None:
        """Wait until it has printed *words*."""
        wait_for(lambda: words in self.text(), within=within, message=lambda: f"{words!r} in:\n{self.text()[-3000:]}")

    def close(self) -> None:
        """End it whatever state it is in."""
        with contextlib.suppress(ProcessLookupError):
            if self.child.running:
                self.send(signal.SIGCONT)
        self.child.stop()


class Migrating(Process):
    """A running migration, and its own log. *wrong_by*: seconds by which its own clock is wrong."""

    def __init__(self, dsn: str, log: Path, options: Mapping[str, object], wrong_by: float = 0.0) -> None:
        self.log, self._wrong_by = log, wrong_by
        self.name = str(options.get("name", "backfill"))
        script = str(Path(__file__).with_name("migrating.py"))
        command = [sys.executable, script, dsn, str(log), json.dumps(dict(options))]
        clock = another_time(wrong_by) if wrong_by else {}
        super().__init__(command, log.with_suffix(".out"), {"PYTHONPATH": str(ROOT), **clock})

    def lines(self, what: str = "") -> list[dict[str, Any]]:
        """What it has logged, all or one kind."""
        text = self.log.read_text() if self.log.exists() else ""
        lines = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
        return [line for line in lines if not what or line["what"] == what]

    @property
    def starts(self) -> list[float]:
        """Wall times at which it has begun a batch."""
        return [line["at"] - self._wrong_by for line in self.lines("batch")]

    def wait_starts(self, more: int = 3, within: float = 20.0) -> None:
        """Wait until it has begun some more batches."""
        before = len(self.starts)
        wait_for(
            lambda: len(self.starts) >= before + more,
            within=within,
            message=lambda: f"{more} more batches; log: {self.lines()[-3:]}\n{self.text()[-2000:]}",
        )
