"""Processes and a directory that never outlive the demonstration, however it ends.

This file does not know what they are for.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

# It waits on a pipe whose other end only we hold: atexit does not run after SIGKILL. KILL follows for what hangs, and
# only while the process was still there a moment ago: a pid is used again.
_LEASH = """
read -r _
kill -TERM "$1" || exit 0
n=0
while kill -0 "$1"; do
  n=$((n + 1))
  if [ "$n" -gt 60 ]; then kill -KILL "$1"; exit 0; fi
  sleep 0.1
done
"""
# After the programs that still write there have had their time to end.
_SWEEP = 'read -r _; sleep 8; rm -rf "$1"'


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
        self._leash = _Leash(_LEASH, str(self._process.pid))

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
        self._leash.let_go()  # before the child ends: its pid may be somebody else's afterwards
        if self.running:
            self._process.send_signal(signal.SIGTERM)
            if self.wait(within) is None:
                self._process.kill()
                self._process.wait(10)


class Scratch:
    """A new private directory; remove() deletes it, and so does our own end."""

    def __init__(self, prefix: str) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=prefix)).resolve()
        self._leash = _Leash(_SWEEP, str(self.path))

    def remove(self) -> None:
        """Delete it with all that is in it. May be called twice."""
        self._leash.let_go()
        shutil.rmtree(self.path, ignore_errors=True)


class _Leash:
    """A shell that waits for the end of a pipe, which is ours or let_go()'s, and in the first case runs *script*."""

    def __init__(self, script: str, argument: str) -> None:
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", script, "leash", argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # Ctrl-C in the terminal must not end the one who cleans up after it
        )

    def let_go(self) -> None:
        """Have it end without doing anything. May be called twice."""
        self._shell.kill()
        self._shell.wait(10)
        if self._shell.stdin is not None:
            self._shell.stdin.close()
