"""A process of the demonstration that never outlives it, however it ends.

This file does not know what the process does.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

# It waits on a pipe whose other end only we hold: atexit does not run after SIGKILL. KILL follows for what hangs.
_LEASH = 'read -r _; kill -TERM "$1" 2>/dev/null || exit 0; sleep 6; kill -KILL "$1" 2>/dev/null'


class Child:
    """A started program; stop() or the end of the with block ends it.

    Its output goes to *output*. In a session of its own, so that Ctrl-C in the terminal is for us alone and the order
    of the end is ours.
    """

    def __init__(self, command: Sequence[str], *, output: Path, environment: Mapping[str, str] | None = None) -> None:
        self.output = output
        with output.open("ab") as log:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
                start_new_session=True,
            )
        self._leash = subprocess.Popen(
            ["/bin/sh", "-c", _LEASH, "leash", str(self._process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def tail(self, lines: int = 15) -> str:
        """The end of its output."""
        text = self.output.read_text(errors="replace") if self.output.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def wait(self, within: float) -> int | None:
        """Its exit code, or None where it still runs after *within* seconds."""
        try:
            return self._process.wait(within)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, within: float = 6.0) -> None:
        """End it by SIGTERM, or by SIGKILL after *within* seconds. May be called twice."""
        self._let_go()
        if self.running:
            self._process.send_signal(signal.SIGTERM)
            if self.wait(within) is None:
                self._process.kill()
                self._process.wait(10)

    def _let_go(self) -> None:
        # Before the child ends: its pid may be somebody else's afterwards.
        if self._leash.poll() is None:
            self._leash.kill()
            self._leash.wait(10)
        if self._leash.stdin is not None:
            self._leash.stdin.close()
