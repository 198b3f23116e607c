"""Runs one rollback hook to its end and writes down how it ended. A process of its own, outliving the daemon.

Started by file path with the standard library alone (no import of the package), so that it starts fast and an upgrade
under a running daemon cannot hurt it. It reads its task as JSON from standard input:

    command, facts, environment, timeout (s), grace (s), keep (bytes), start, result (paths), survivors (words)

It creates the start file, which must not exist (exit code 17 where it does), holds an flock on it as long as it lives,
and forks, so that who started it neither waits for it nor kills it. It decides nothing and never runs a hook twice.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

EXISTS = 17
_PR_SET_CHILD_SUBREAPER = 36
_DRAIN = 0.2


def main() -> None:
    """Take the task, claim it, and carry it out in a process that nobody waits for."""
    task = json.load(sys.stdin)
    start = Path(task["start"])
    # Locked before it can be seen under its name: a start file without a lock is one whose supervisor has died.
    half = start.with_name(f"{start.name}.{os.getpid()}")
    claim = os.open(half, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(claim, fcntl.LOCK_EX)
        note = {"command": task["command"], "started_wall": time.time()}
        os.write(claim, json.dumps(note).encode())
        os.fsync(claim)
        os.link(half, start)
    except FileExistsError:
        raise SystemExit(EXISTS) from None
    finally:
        half.unlink()
    _sync_directory(start.parent)
    if os.fork():
        # The child shares the flock; who started us sees our end and knows that the claim stands.
        os._exit(0)
    _detach()
    write(Path(task["result"]), _carry_out(task))


def _detach() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    # A terminal that goes away is no reason to leave a rollback half done, and where a supervisor of services ends
    # everybody, the hook ends by that and we stay to say so. Heard and not ignored: the hook would inherit deaf ears.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    # Processes that leave the hook's group become our children when their parent ends, so that they can be named.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _carry_out(task: dict[str, Any]) -> dict[str, Any]:
    began = time.monotonic()
    read_end, write_end = os.pipe()
    try:
        with tempfile.TemporaryFile() as facts, os.fdopen(write_end, "wb") as output:
            facts.write(json.dumps(task["facts"], default=str).encode())
            facts.seek(0)
            process = subprocess.Popen(
                task["command"],
                stdin=facts,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=task["environment"],
                cwd="/",
                start_new_session=True,
            )
    except (OSError, ValueError) as error:
        os.close(read_end)
        return {"ok": False, "words": f"could not be started: {error}", "output": ""}
    kept = _Kept(read_end, task["keep"])
    timed_out = not _wait(process, began + task["timeout"], kept)
    took = time.monotonic() - began
    _end_group(process, task["grace"], kept)
    survivors = _children()
    kept.drain(time.monotonic() + _DRAIN)
    kept.close()
    ok, words = _words(process.returncode, took, task["timeout"] if timed_out else None)
    if survivors:
        pids = ", ".join(map(str, survivors))
        words += f"; it left processes running outside its process group, which {task['survivors']}: {pids}"
    return {"ok": ok, "words": words, "output": kept.text(), "survivors": survivors}


def _words(code: int | None, took: float, timeout: float | None) -> tuple[bool, str]:
    if timeout is not None:
        return False, f"killed after its timeout of {timeout:g} s"
    if code is None:
        return False, f"could not be killed; given up after {took:.1f} s"
    if code < 0:
        with contextlib.suppress(ValueError):
            return False, f"ended by {signal.Signals(-code).name} after {took:.1f} s"
        return False, f"ended by signal {-code} after {took:.1f} s"
    return code == 0, f"exit {code} after {took:.1f} s"


class _Kept:
    """The first and the last half of what the hook said; the middle of a flood is counted and dropped."""

    def __init__(self, read_end: int, limit: int) -> None:
        self._fd = read_end
        self._half = limit // 2
        self._head, self._tail, self._dropped = b"", b"", 0
        self._open = True
        os.set_blocking(read_end, False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(read_end, selectors.EVENT_READ)

    def read(self, wait: float) -> bool:
        """Take what has come within *wait* seconds; whether anything came."""
        if not self._open:
            time.sleep(wait)
            return False
        if not self._selector.select(wait):
            return False
        data = os.read(self._fd, 65536)
        if not data:
            self._open = False
            return False
        room = self._half - len(self._head)
        self._head += data[:room] if room > 0 else b""
        tail = self._tail + (data[room:] if room > 0 else data)
        self._dropped += max(0, len(tail) - self._half)
        self._tail = tail[-self._half :]
        return True

    def drain(self, until: float) -> None:
        """Take what is still in the pipe. Not until its end: a grandchild may hold it open for ever."""
        while self._open and time.monotonic() < until and self.read(0.01):
            pass

    def close(self) -> None:
        self._selector.close()
        os.close(self._fd)

    def text(self) -> str:
        middle = f"\n... {self._dropped} bytes left out ...\n".encode() if self._dropped else b""
        return (self._head + middle + self._tail).decode(errors="replace")


def _wait(process: subprocess.Popen[bytes], until: float, kept: _Kept) -> bool:
    """Wait for the process itself, not for its pipe; whether it ended in time."""
    while process.poll() is None:
        if time.monotonic() >= until:
            return False
        kept.read(0.02)
    return True


def _end_group(process: subprocess.Popen[bytes], grace: float, kept: _Kept) -> None:
    """TERM, then KILL to whatever is left of the hook's group, also after its leader has ended by itself."""
    for number, wait in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        if not _signal_group(process, number):
            return
        until = time.monotonic() + wait
        while time.monotonic() < until:
            if not _signal_group(process, 0):
                return
            kept.read(0.02)


def _signal_group(process: subprocess.Popen[bytes], number: int) -> bool:
    """Whether anybody of the group was there to get the signal; its dead are reaped first, or they would count."""
    process.poll()
    with contextlib.suppress(ChildProcessError):
        while process.returncode is not None and os.waitpid(-process.pid, os.WNOHANG) != (0, 0):
            pass
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _children() -> list[int]:
    """Living children of ours, which is where orphans of the hook end up on Linux."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if int(parent) == os.getpid() and state != "Z":
                found.append(int(stat.parent.name))
    return sorted(found)


def write(path: Path, result: dict[str, Any]) -> None:
    """All of it or nothing, and still there after a power cut. Raises OSError."""
    half = path.with_suffix(".half")
    with os.fdopen(os.open(half, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
        file.write(json.dumps(result).encode())
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


if __name__ == "__main__":
    main()
