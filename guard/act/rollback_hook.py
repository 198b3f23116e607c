"""Runs the rollback hook at most once for a run, and knows afterwards, even in another process, how it ended.

The hook outlives the daemon: it is run by a small supervisor (guard.act.hook_runner) in a session of its own, and it is
the supervisor that writes the result. A daemon that is stopped, killed or upgraded in the middle of a rollback neither
kills it nor loses its outcome. Whether a rollback is due, and that its run is claimed, is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from guard.act import hook_runner
from guard.act.hook_files import HookFiles
from guard.act.hook_program import problems_of_command
from guard.errors import HookError
from guard.ports import HookOutcome

_KEEP = 64 * 1024
GRACE = 5.0
_LAUNCH_WITHIN = 15.0
MARGIN = 15.0
"""On top of timeout and grace: KILL, the last output, a slow disk."""
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LONGEST_VARIABLE = 4096


class RollbackHook:
    """One rollback command; implements guard.ports.Hook.

    *timeout* is in seconds; then TERM to the hook's process group, and KILL 5 s later. *state_directory* keeps start
    and result files by run id, so each database needs a directory of its own; it is made when needed. *environment*
    names the variables that the hook gets beside PATH and the facts (``MIGRATION_GUARD_RUN_ID`` and so on); it gets no
    other. On standard input it gets the facts as one JSON object. Of its output the first and the last 32 kB are kept.
    """

    def __init__(
        self, command: Sequence[str], *, timeout: float, state_directory: Path, environment: Sequence[str] = ()
    ) -> None:
        self.command = tuple(command)
        self.timeout = timeout
        self.files = HookFiles(state_directory)
        self._allowed = tuple(environment)

    def check(self) -> tuple[str, ...]:
        """What would keep the hook from being run, or let others change what it does; () when it is well."""
        problems = problems_of_command(self.command)
        directory = self.files.directory
        there = next(path for path in (directory, *directory.absolute().parents) if path.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            problems.append(f"{there}: must be a directory that this program can write to")
        return tuple(problems)

    async def run(self, facts: Mapping[str, object]) -> HookOutcome:
        """Run the hook to its end or its timeout; where it was started for this run before, wait for that end instead.

        *facts* must hold ``run_id``. Never raises for what the hook does; where the caller is cancelled, the hook goes
        on.
        """
        run_id = facts.get("run_id")
        if not isinstance(run_id, int):
            return HookOutcome(ok=False, words="not started: the facts name no run")
        try:
            if not self.begun(run_id):
                await self.launch(run_id, facts)
        except (HookError, OSError, ValueError) as error:
            return HookOutcome(ok=False, words=f"could not be started: {error}")
        return await end_of(self, run_id, within=self.timeout + GRACE + MARGIN)

    def last_outcome(self, run_id: int) -> HookOutcome | None:
        """How the hook ended for a run; None where it was not started or is still at work."""
        return self.files.outcome(run_id)

    def begun(self, run_id: int) -> bool:
        """Whether the hook of a run was given to a supervisor from here."""
        return self.files.start(run_id).exists()

    def running(self, run_id: int) -> bool:
        """Whether the hook's supervisor is alive."""
        return self.files.running(run_id)

    async def launch(
        self,
        run_id: int,
        facts: Mapping[str, object],
        *,
        survivors: str = "were not killed",
        lock: int | None = None,
    ) -> None:
        """Hand the hook of a run to a supervisor of its own, unless one had it before; do not wait for its end.

        *survivors* says what becomes of processes that leave the hook's group; *lock* is a descriptor that the
        supervisor keeps open as long as it lives. Raises HookError, OSError, ValueError where it could not be started.
        """
        self.files.make_directory()
        task = {
            "command": list(self.command),
            "facts": dict(facts),
            "environment": self._environment(facts),
            "timeout": self.timeout,
            "grace": GRACE,
            "keep": _KEEP,
            "start": str(self.files.start(run_id)),
            "result": str(self.files.result(run_id)),
            "survivors": survivors,
        }
        launcher = _spawn(json.dumps(task, default=str).encode(), () if lock is None else (lock,))
        until = asyncio.get_running_loop().time() + _LAUNCH_WITHIN
        try:
            while launcher.poll() is None:
                if asyncio.get_running_loop().time() >= until:
                    raise HookError(f"its supervisor did not start within {_LAUNCH_WITHIN:g} s")
                await asyncio.sleep(0.02)
        finally:
            # Only the launcher, which ends at once when all is well; the supervisor is a process of its own by then.
            if launcher.poll() is None:
                launcher.kill()
                launcher.wait()
        if launcher.returncode not in {0, hook_runner.EXISTS}:
            raise HookError(f"its supervisor ended with {launcher.returncode}")

    def _environment(self, facts: Mapping[str, object]) -> dict[str, str]:
        chosen = {name: os.environ[name] for name in self._allowed if name in os.environ}
        told = {_variable(key): _text(value) for key, value in facts.items() if _is_scalar(value)}
        return {"PATH": os.environ.get("PATH", _DEFAULT_PATH)} | chosen | told


class Ending(Protocol):
    """Knows whether and how the hook of a run has ended."""

    def last_outcome(self, run_id: int) -> HookOutcome | None: ...


async def end_of(hook: Ending, run_id: int, *, within: float) -> HookOutcome:
    """Wait for the end of a run's hook; after *within* seconds it counts as unknown."""
    until = asyncio.get_running_loop().time() + within
    while (outcome := hook.last_outcome(run_id)) is None:
        if asyncio.get_running_loop().time() >= until:
            return HookOutcome(ok=False, words=f"unknown: no end within {within:g} s")
        await asyncio.sleep(0.05)
    return outcome


def _spawn(task: bytes, keep: tuple[int, ...]) -> subprocess.Popen[bytes]:
    # Not asyncio's subprocess: it kills its child when the loop ends. -I: nothing of the environment steers it.
    launcher = subprocess.Popen(
        [sys.executable, "-I", "-S", str(Path(hook_runner.__file__).resolve())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": _DEFAULT_PATH},
        cwd="/",
        start_new_session=True,
        pass_fds=keep,
    )
    if launcher.stdin is not None:
        # It reads all of it before anything else, so this waits for its start at most.
        with contextlib.suppress(BrokenPipeError), launcher.stdin:
            launcher.stdin.write(task)
    return launcher


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)


def _variable(key: str) -> str:
    return "MIGRATION_GUARD_" + re.sub(r"\W", "_", key, flags=re.ASCII).upper()


def _text(value: object) -> str:
    """As the environment can carry it: no NUL, bounded; standard input has all of it."""
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text.replace("\0", "")[:_LONGEST_VARIABLE]
