"""Starts one command in a session of its own, tells how it ended, and ends all of it when whoever asked for it dies.

Started by file path with the standard library alone, so that it starts fast. Over the socket whose number is its
argument it reads its task as a line of JSON (command, conninfo, name, query), then `{"signal": 15}` and `{"end": 1.0}`
(seconds from TERM to KILL), and says `{"started": pid}` or `{"failed": words}`, `{"ended": code}`, `{"left": pids}`.

The end of that line means that the other side was killed: what the command does on the server is ended there first,
since a process that is gone leaves its statement behind, which goes on and commits; then its processes are. It neither
decides nor retries.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_GRACE = 1.0
"""Seconds from TERM to KILL where nobody is left to ask for more."""
_CONNECT, _INSIST = 3, 60.0
"""Seconds of one try to reach the server, and of all of them, once the other side is dead."""


def main() -> None:
    """Take the task and see it through."""
    line = socket.socket(fileno=int(sys.argv[1]))
    line.set_inheritable(False)
    received = _Received(line)
    task = received.wait()
    if task is not None:
        _Keeper(line, received, task).keep()


def members(session: int, *, but: int = 0) -> list[int]:
    """The living processes of a session, and the descendants of its leader that have left it, but one.

    Process groups do not tell: package managers start each script in a group of its own. Without /proc: none.
    """
    family: dict[int, tuple[int, int]] = {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The name of the program stands in brackets and may hold any of them.
            state, parent, _, its_session = (place / "stat").read_text().rpartition(")")[2].split()[:4]
            if state not in {"Z", "X"}:
                family[int(place.name)] = (int(parent), int(its_session))
    found = {pid for pid, (_, its_session) in family.items() if its_session == session}
    grown = True
    while grown:
        more = {pid for pid, (parent, _) in family.items() if parent in found or parent == session} - found
        grown = bool(more)
        found |= more
    return sorted(found - {but})


def signal_all(pids: list[int], number: int) -> None:
    """A signal to each that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


class _Received:
    """What the other side has said, a line each; None is its end."""

    def __init__(self, line: socket.socket) -> None:
        self._line, self._rest = line, b""

    @property
    def more(self) -> bool:
        """Whether another message has come with the last."""
        return b"\n" in self._rest

    def wait(self) -> dict[str, Any] | None:
        """The next message."""
        while b"\n" not in self._rest:
            try:
                data = self._line.recv(65536)
            except OSError:
                return None
            if not data:
                return None
            self._rest += data
        first, _, self._rest = self._rest.partition(b"\n")
        message: dict[str, Any] = json.loads(first)
        return message


class _Keeper:
    def __init__(self, line: socket.socket, received: _Received, task: dict[str, Any]) -> None:
        self._line, self._received, self._task = line, received, task
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False

    def keep(self) -> None:
        """Start the command; return when all of it has ended."""
        libc = _libc()
        if libc is not None:  # who leaves the session becomes our child when its parent ends
            libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        # SIGCHLD is to wake us; the others must not end the one who cleans up.
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        try:
            process = self._process = _start(self._task["command"], libc)
        except (OSError, ValueError) as error:
            self._say({"failed": f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}"})
            return
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):  # or its output would not end with it
            os.dup2(null, stream)
        self._say({"started": process.pid})
        while not self._ended:
            ready = select.select([self._line.fileno(), woken], [], [])[0]
            with contextlib.suppress(BlockingIOError):
                os.read(woken, 4096)
            self._reap()
            if self._line.fileno() in ready:
                self._ended = not self._obey()
                while self._received.more and not self._ended:
                    self._ended = not self._obey()

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if self._process is not None and ended[0] == self._process.pid:
                    self._process.returncode = os.waitstatus_to_exitcode(ended[1])
                    self._say({"ended": self._process.returncode})

    def _obey(self) -> bool:
        """Do what is asked; whether there is more to come."""
        message = self._received.wait()
        if message is None:
            self._bereaved()
            return False
        if "signal" in message:
            signal_all(members(os.getpid(), but=os.getpid()), message["signal"])
            return True
        self._say({"left": self._end(message["end"])})
        return False

    def _end(self, grace: float) -> list[int]:
        """End every process; those that had to be killed or are there still."""
        me = os.getpid()
        signal_all(members(me, but=me), signal.SIGTERM)
        signal_all(members(me, but=me), signal.SIGCONT)
        if self._until(lambda: not members(me, but=me), grace):
            return []
        left = members(me, but=me)
        self._until(lambda: _killed(me), 5.0)
        return left

    def _until(self, condition: Callable[[], bool], within: float) -> bool:
        end = time.monotonic() + within
        while not condition():
            if time.monotonic() >= end:
                return False
            time.sleep(0.02)
            self._reap()
        self._reap()
        return True

    def _bereaved(self) -> None:
        reached = self._end_on_server()
        self._end(_GRACE)
        end = time.monotonic() + _INSIST
        while not (self._end_on_server() and reached) and time.monotonic() < end:
            reached = True  # one that is well is enough, once the processes are gone
            time.sleep(1.0)

    def _end_on_server(self) -> bool:
        """Terminate the command's sessions; whether the server was reached."""
        import psycopg

        try:
            with psycopg.connect(
                self._task["conninfo"], autocommit=True, connect_timeout=_CONNECT, application_name=self._task["name"]
            ) as connection:
                connection.execute("set statement_timeout = '5s'")
                connection.execute(self._task["query"])
        except psycopg.Error:
            return False
        return True

    def _say(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            self._line.sendall(json.dumps(message).encode() + b"\n")


def _killed(session: int) -> bool:
    """Whether none is left; those that are get SIGKILL, also what one of them has started while they were listed."""
    found = members(session, but=session)
    signal_all(found, signal.SIGKILL)
    return not found


def _start(command: list[str], libc: ctypes.CDLL | None) -> subprocess.Popen[bytes]:
    """Start it as a shell would. Raises OSError, ValueError."""
    dies = _dies_with_parent(libc)
    try:
        return subprocess.Popen(command, process_group=0, preexec_fn=dies)  # noqa: PLW1509 -- there is one thread
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
    # A script whose first line names no program is sh's, as execvp(3) has it; pnpm's own is one, where npm was told to
    # run no script of a package.
    command = ["/bin/sh", shutil.which(command[0]) or command[0], *command[1:]]
    return subprocess.Popen(command, process_group=0, preexec_fn=dies)  # noqa: PLW1509


def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if sys.platform == "linux" else None


def _dies_with_parent(libc: ctypes.CDLL | None) -> Callable[[], None] | None:
    """For the case that it is we who are killed."""
    if libc is None:
        return None

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    return ask


if __name__ == "__main__":
    main()
