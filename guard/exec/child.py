"""The command as a process: started by a keeper in a session of its own, its output passed on, and ended whole.

It knows nothing of PostgreSQL; what the command does on the server is ended elsewhere, and first.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from guard.exec import keeper
from guard.exec.keeper import members, signal_all

KEPT = 65_536
"""Bytes of the end of its output that are kept."""
_TROUBLES, _LINE = 50, 1000
"""So many lines before it are kept too, with so many bytes each: those that tell of an error."""
_TROUBLE = re.compile(rb"ERROR|FATAL|PANIC|[Ee]rror|\b(?:55P03|57014|57P01|40P01)\b")
_DRAIN = 0.5
"""Seconds in which what is still in a pipe is read after the end; who left the session may hold it open for ever."""
_START = 20.0


class NotStarted(Exception):
    """The command cannot be started; the message says why."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be started, and what its keeper needs should we be killed."""

    command: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)
    conninfo: str = field(repr=False)
    mark: str
    query: str


class Child:
    """A running command. close() or the end of the with block leaves none of it."""

    def __init__(self, task: Task) -> None:
        """Start it. Raises NotStarted."""
        self._line, theirs = socket.socketpair()
        self._pumps = [_Pump(stream) for stream in (1, 2)]
        self._tail = _Tail()
        self._manners = _manners()
        with theirs:
            self._keeper = subprocess.Popen(
                [sys.executable, "-P", str(Path(keeper.__file__)), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdout=self._pumps[0].theirs,
                stderr=self._pumps[1].theirs,
                env=dict(task.environment),
                start_new_session=True,  # Ctrl-C in the terminal is for us, who end it in the right order
            )
        for pump in self._pumps:
            pump.start(self._tail)
        self.code: int | None = None
        """Its exit code once it has ended, negative for a signal."""
        self.lost = False
        """Its keeper was killed, and it with it."""
        self._rest = b""
        self._messages: list[dict[str, Any]] = []
        said = {"command": list(task.command), "conninfo": task.conninfo, "name": task.mark, "query": task.query}
        self._tell(said)
        first = self._next(_START)
        if first is None or "started" not in first:
            self.close()
            raise NotStarted(f"{task.command[0]}: {(first or {}).get('failed', 'its keeper did not answer')}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def keeper(self) -> int:
        """The process id of its keeper, and the session that it is in."""
        return self._keeper.pid

    @property
    def output(self) -> str:
        """The end of what it has said on both its streams."""
        return self._tail.text()

    def ended(self, within: float = 0.0) -> bool:
        """Whether it has ended, asked for so many seconds."""
        end = time.monotonic() + within
        while self.code is None and not self.lost:
            message = self._next(max(0.0, end - time.monotonic()))
            if message is not None and "ended" in message:
                self.code = int(message["ended"])
            elif message is None and time.monotonic() >= end:
                break
        return self.code is not None or self.lost

    def signal(self, number: int) -> None:
        """A signal to every process of its session, whatever its process group."""
        self._tell({"signal": number})

    def end(self, grace: float) -> list[int]:
        """End every process that is left, by TERM and after *grace* seconds by KILL; those that had to be killed."""
        self._tell({"end": grace})
        left = None
        until = time.monotonic() + grace + 8.0
        while left is None and not self.lost and time.monotonic() < until:
            message = self._next(0.5)
            if message is not None and "ended" in message:
                self.code = int(message["ended"])
            left = message["left"] if message is not None and "left" in message else None
        if self.lost:
            signal_all(members(self._keeper.pid), signal.SIGKILL)
        return list(left or [])

    def close(self) -> None:
        """Let go of everything; what still runs is ended by its keeper."""
        self._line.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._keeper.wait(10)
        for pump in self._pumps:
            pump.finish(_DRAIN)
        if self._manners is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(0, termios.TCSADRAIN, self._manners)

    def _tell(self, message: dict[str, Any]) -> None:
        try:
            self._line.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self.lost = True

    def _next(self, within: float) -> dict[str, Any] | None:
        """What the keeper says next, or None where it says nothing in time, or no more."""
        end = time.monotonic() + within
        while b"\n" not in self._rest:
            if self.lost or not select.select([self._line], [], [], max(0.0, end - time.monotonic()))[0]:
                return None
            data = self._received()
            self.lost = not data
            self._rest += data
        first, _, self._rest = self._rest.partition(b"\n")
        message: dict[str, Any] = json.loads(first)
        return message

    def _received(self) -> bytes:
        try:
            return self._line.recv(65536)
        except OSError:
            return b""


class _Tail:
    """The end of what both streams said, in the order in which it came, and the first errors before it.

    A script that goes on after an error says a line for each statement that follows.
    """

    def __init__(self) -> None:
        self._bytes, self._cut = bytearray(), b""
        self._troubles: list[bytes] = []
        self._lock = threading.Lock()

    def add(self, data: bytes) -> None:
        with self._lock:
            self._bytes += data
            if len(self._bytes) > KEPT:
                *lines, cut = (self._cut + self._bytes[:-KEPT]).split(b"\n")
                self._cut = cut[-_LINE:]
                if len(self._troubles) < _TROUBLES:
                    self._troubles += [line[:_LINE] for line in lines if _TROUBLE.search(line)]
                    del self._troubles[_TROUBLES:]
                del self._bytes[:-KEPT]

    def text(self) -> str:
        with self._lock:
            return b"\n".join([*self._troubles, self._cut + self._bytes]).decode(errors="replace")


class _Pump:
    """Passes one stream of the command on to our own, and keeps its end.

    Where our own is a terminal the command gets one too, of the same size, or it would not draw, colour or ask.
    """

    def __init__(self, stream: int) -> None:
        self._stream = stream
        self._ours, self.theirs = _terminal(stream) or os.pipe()
        self._thread = threading.Thread(target=self._pass_on, name=f"output {stream}", daemon=True)
        self._tail = _Tail()

    def start(self, tail: _Tail) -> None:
        os.close(self.theirs)
        self._tail = tail
        self._thread.start()

    def finish(self, within: float) -> None:
        self._thread.join(within)

    def _pass_on(self) -> None:
        # EIO is how a terminal tells that nobody has it open any more.
        with os.fdopen(self._ours, "rb", buffering=0) as stream, contextlib.suppress(OSError):
            while data := stream.read(65536):
                self._tail.add(data)
                self._write(data)

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # our reader has left; the command is not to fail for that
            while data:
                data = data[os.write(self._stream, data) :]


def _manners() -> list[Any] | None:
    """How our terminal behaves: a tool that was ended while it asked leaves it without an echo. None: not ours."""
    try:
        return termios.tcgetattr(0) if os.tcgetpgrp(0) == os.getpgrp() else None
    except (OSError, termios.error):
        return None


def _terminal(stream: int) -> tuple[int, int] | None:
    try:
        if not os.isatty(stream):
            return None
        ours, theirs = os.openpty()
    except OSError:
        return None
    with contextlib.suppress(OSError):
        size = fcntl.ioctl(stream, termios.TIOCGWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
    return ours, theirs
