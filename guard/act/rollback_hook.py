"""Runs the rollback hook at most once for a run, and knows afterwards, even in another process, how it ended.

The hook outlives the daemon: it is run by a small supervisor (guard.act.hook_runner) in a session of its own, and it is
the supervisor that writes the result. A daemon that is stopped, killed or upgraded in the middle of a rollback neither
kills it nor loses its outcome. Whether a rollback is due, and that its run is claimed, is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from guard.act import hook_runner
from guard.errors import HookError
from guard.ports import HookOutcome

_KEEP = 64 * 1024
_GRACE = 5.0
_LAUNCH_WITHIN = 15.0
_MARGIN = 15.0
"""On top of timeout and grace: KILL, the last output, a slow disk."""
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LONGEST_VARIABLE = 4096
_BINARY = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")


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
        self._directory = Path(state_directory)
        self._allowed = tuple(environment)

    def check(self) -> tuple[str, ...]:
        """What would keep the hook from being run, or let others change what it does; () when it is well."""
        if not self.command:
            return ("the command is empty",)
        program = Path(self.command[0])
        if not program.is_absolute():
            return (f"{program}: must be an absolute path, since the hook is run without a search",)
        try:
            problems = _problems_of(program)
        except OSError as error:
            problems = [f"{program}: {error.strerror}"]
        there = next(path for path in (self._directory, *self._directory.absolute().parents) if path.exists())
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
            if not self._start_file(run_id).exists():
                self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
                await self._launch(run_id, facts)
        except (HookError, OSError, ValueError) as error:
            return HookOutcome(ok=False, words=f"could not be started: {error}")
        return await self._end(run_id)

    def last_outcome(self, run_id: int) -> HookOutcome | None:
        """How the hook ended for a run; None where it was not started or is still at work.

        A start without an end is an outcome too: unknown, and a question to a human. It is never started again.
        """
        # Running is asked for first: the result is written before the lock goes.
        running = self.running(run_id)
        with contextlib.suppress(FileNotFoundError):
            return _read_result(self._result_file(run_id))
        if running or not self._start_file(run_id).exists():
            return None
        return HookOutcome(
            ok=False,
            words="unknown: it was started and its end was never written; look at what it did before anything else",
        )

    def running(self, run_id: int) -> bool:
        """Whether the hook's supervisor is alive: it holds a lock on the start file as long as it lives."""
        try:
            fd = os.open(self._start_file(run_id), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    # -- starting and waiting ------------------------------------------------------------------------------------------

    async def _launch(self, run_id: int, facts: Mapping[str, object]) -> None:
        task = {
            "command": list(self.command),
            "facts": dict(facts),
            "environment": self._environment(facts),
            "timeout": self.timeout,
            "grace": _GRACE,
            "keep": _KEEP,
            "start": str(self._start_file(run_id)),
            "result": str(self._result_file(run_id)),
        }
        launcher = _spawn(json.dumps(task, default=str).encode())
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

    async def _end(self, run_id: int) -> HookOutcome:
        until = asyncio.get_running_loop().time() + self.timeout + _GRACE + _MARGIN
        while (outcome := self.last_outcome(run_id)) is None:
            if asyncio.get_running_loop().time() >= until:
                return HookOutcome(ok=False, words=f"unknown: no end within {self.timeout + _GRACE + _MARGIN:g} s")
            await asyncio.sleep(0.05)
        return outcome

    def _environment(self, facts: Mapping[str, object]) -> dict[str, str]:
        chosen = {name: os.environ[name] for name in self._allowed if name in os.environ}
        told = {_variable(key): _text(value) for key, value in facts.items() if _is_scalar(value)}
        return {"PATH": os.environ.get("PATH", _DEFAULT_PATH)} | chosen | told

    def _start_file(self, run_id: int) -> Path:
        return self._directory / f"rollback-{run_id}.start"

    def _result_file(self, run_id: int) -> Path:
        return self._directory / f"rollback-{run_id}.result"


def _spawn(task: bytes) -> subprocess.Popen[bytes]:
    # Not asyncio's subprocess: it kills its child when the loop ends. -I: nothing of the environment steers it.
    launcher = subprocess.Popen(
        [sys.executable, "-I", "-S", str(Path(hook_runner.__file__).resolve())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": _DEFAULT_PATH},
        cwd="/",
        start_new_session=True,
    )
    if launcher.stdin is not None:
        # It reads all of it before anything else, so this waits for its start at most.
        with contextlib.suppress(BrokenPipeError), launcher.stdin:
            launcher.stdin.write(task)
    return launcher


def _problems_of(program: Path) -> list[str]:
    real = program.resolve(strict=True)
    seen = real.stat()
    if not stat.S_ISREG(seen.st_mode):
        return [f"{program}: is not a file"]
    problems = []
    if not os.access(real, os.X_OK):
        problems.append(f"{program}: is not executable (chmod +x {program})")
    if seen.st_uid not in {0, os.geteuid()}:
        problems.append(f"{program}: belongs to user id {seen.st_uid}; must belong to root or to this program's user")
    if seen.st_mode & stat.S_IWOTH:
        problems.append(f"{program}: everybody can write to it (chmod o-w {program})")
    above = real.parent.stat().st_mode
    if above & stat.S_IWOTH and not above & stat.S_ISVTX:
        problems.append(f"{real.parent}: everybody can write to it, and so replace the hook")
    if os.access(real, os.R_OK):
        problems += _problems_of_first_line(program)
    return problems


def _problems_of_first_line(program: Path) -> list[str]:
    with program.open("rb") as file:
        first = file.read(256)
    if first.startswith(_BINARY):
        return []
    if not first.startswith(b"#!"):
        return [f"{program}: has no first line such as #!/bin/sh, so the system cannot run it"]
    words = first[2:].partition(b"\n")[0].split()
    interpreter = os.fsdecode(words[0]) if words else ""
    if not os.access(interpreter, os.X_OK):
        return [f"{program}: its interpreter {interpreter or '(none)'} cannot be run"]
    return []


def _read_result(path: Path) -> HookOutcome:
    """Raises FileNotFoundError."""
    try:
        result: Any = json.loads(path.read_text())
        return HookOutcome(ok=result["ok"] is True, words=str(result["words"]), output=str(result["output"]))
    except (ValueError, KeyError, TypeError):
        return HookOutcome(ok=False, words=f"unknown: {path} is not a result")


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
