"""Fixtures: rollback hooks of a few lines of shell, and nothing of them that outlives a test."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guard.act import rollback_hook
from guard.act.rollback_hook import RollbackHook
from guard.ports import HookOutcome

FACTS: dict[str, object] = {"run_id": 7, "migration": "add email", "because": "errors 7 % > 5 %"}
MakeHook = Callable[..., RollbackHook]


@pytest.fixture
def make_hook(tmp_path: Path) -> MakeHook:
    """``make_hook("exit 3")``: a hook of these lines of shell."""

    def make(script: str, *, timeout: float = 20.0, environment: tuple[str, ...] = ()) -> RollbackHook:
        path = tmp_path / "hook"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        return RollbackHook([str(path)], timeout=timeout, state_directory=tmp_path, environment=environment)

    return make


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.3 s from TERM to KILL, instead of 5."""
    monkeypatch.setattr(rollback_hook, "GRACE", 0.3)


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Path]:
    """A file for process ids; what they name does not outlive the test."""
    path = tmp_path / "pids"
    yield path
    for pid in path.read_text().split() if path.exists() else ():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def pids_in(file: Path) -> list[int]:
    """Two process ids that a hook has written; [] as long as they are not there."""
    pids = file.read_text().split() if file.exists() else []
    return [int(pid) for pid in pids] if len(pids) == 2 else []


def run(hook: RollbackHook) -> HookOutcome:
    """Run a hook to its end."""
    return asyncio.run(hook.run(FACTS))


def alive(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
