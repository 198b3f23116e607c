"""Start and result files of rollback hooks: one pair a run, in a directory of each database.

The supervisor (guard.act.hook_runner) writes them, and holds a lock on the start file as long as it lives; everybody
else reads them here. They outlive every process, and are why a hook runs at most once for a run.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from pathlib import Path
from typing import Any

from guard.act import hook_runner
from guard.ports import HookOutcome


class HookFiles:
    """The files of one database's hooks. *directory* is made when something is first written."""

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory)

    def start(self, run_id: int) -> Path:
        """There once the hook of a run was given to a supervisor."""
        return self.directory / f"rollback-{run_id}.start"

    def result(self, run_id: int) -> Path:
        """There once it is known how that ended."""
        return self.directory / f"rollback-{run_id}.result"

    def make_directory(self) -> None:
        """Raises OSError."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def running(self, run_id: int) -> bool:
        """Whether the hook's supervisor is alive."""
        return is_locked(self.start(run_id))

    def outcome(self, run_id: int) -> HookOutcome | None:
        """How the hook ended for a run; None where it was not started or is still at work.

        A start without an end is an outcome too: unknown, and a question to a human. It is never started again.
        """
        # Running is asked for first: the result is written before the lock goes.
        running = self.running(run_id)
        with contextlib.suppress(FileNotFoundError):
            return _read(self.result(run_id))
        if running or not self.start(run_id).exists():
            return None
        return HookOutcome(
            ok=False,
            words="unknown: it was started and its end was never written; look at what it did before anything else",
        )

    def refuse(self, run_id: int, words: str) -> None:
        """Write down that the hook was not run, and why. Raises OSError."""
        self.make_directory()
        hook_runner.write(self.result(run_id), {"ok": False, "words": words, "output": ""})


def is_locked(path: Path) -> bool:
    """Whether some process holds a lock on the file; False where there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _read(path: Path) -> HookOutcome:
    """Raises FileNotFoundError."""
    try:
        result: Any = json.loads(path.read_text())
        return HookOutcome(ok=result["ok"] is True, words=str(result["words"]), output=str(result["output"]))
    except (ValueError, KeyError, TypeError):
        return HookOutcome(ok=False, words=f"unknown: {path} is not a result")
