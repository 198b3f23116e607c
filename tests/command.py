"""The command line as people run it: a process."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err


def command(*arguments: str, within: float = 30.0, environment: Mapping[str, str] | None = None) -> Ended:
    """Run ``migration-guard ARGUMENTS`` without a terminal, to its end."""
    clean = {name: value for name, value in os.environ.items() if name not in {"FORCE_COLOR", "TTY_COMPATIBLE"}}
    done = subprocess.run(
        [sys.executable, "-m", "guard", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=within,
        check=False,
        env={**clean, "COLUMNS": "200", "NO_COLOR": "1", **(environment or {})},
    )
    return Ended(done.returncode, done.stdout, done.stderr)
