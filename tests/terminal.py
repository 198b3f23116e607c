"""A program in a terminal of its own: what it draws is kept, and the picture that stands can be read."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping

from tests.waiting import wait_for

_HOME = "\x1b[H"
_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


class Terminal:
    """``migration-guard ARGUMENTS`` in a pseudo-terminal of so many columns and lines."""

    def __init__(
        self, *arguments: str, columns: int = 80, lines: int = 30, environment: Mapping[str, str] | None = None
    ) -> None:
        self._ours, theirs = os.openpty()
        self._said = bytearray()
        _set_size(theirs, columns, lines)
        steering = {"NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS", "LINES", "CI"}
        clean = {name: value for name, value in os.environ.items() if name not in steering}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "guard", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            # Ctrl-C reaches whoever has this terminal as theirs.
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 -- no thread of ours holds a lock
            env={**clean, "TERM": "xterm-256color", **(environment or {})},
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def said(self) -> str:
        """All that has been written to it, as it came."""
        return bytes(self._said).decode(errors="replace").replace("\r\n", "\n")

    @property
    def picture(self) -> str:
        """What was drawn last as a whole, without colours."""
        drawn = self.said.split(_HOME)
        # The newest may still be on its way.
        return _SEQUENCE.sub("", drawn[-2] if len(drawn) > 2 else "")

    def wait_shows(self, *words: str, within: float = 20.0) -> str:
        """Wait until a picture has all of these; it."""
        found = ""

        def shows() -> bool:
            nonlocal found
            found = self.picture
            return all(each in found for each in words)

        wait_for(shows, within=within, message=lambda: f"{words} in:\n{self.picture}\n{self.said[-1500:]!r}")
        return found

    def wait_says(self, words: str, within: float = 20.0) -> None:
        """Wait until this has been written to it."""
        wait_for(lambda: words in self.said, within=within, message=lambda: f"{words!r} in:\n{self.said}")

    def resize(self, columns: int, lines: int) -> None:
        """As a person who draws its window smaller."""
        _set_size(self._ours, columns, lines)

    def type(self, keys: str) -> None:
        """Type these keys; \\x03 is Ctrl-C."""
        os.write(self._ours, keys.encode())

    def wait(self, within: float = 15.0) -> int:
        """Its exit code."""
        code = self._process.wait(within)
        self._reader.join(within)
        return code

    def close(self) -> None:
        """End it whatever state it is in."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)
        self._reader.join(10)
        os.close(self._ours)

    def _read(self) -> None:
        try:
            while chunk := os.read(self._ours, 65536):
                self._said += chunk
        except OSError:
            """The program has closed its end."""


def _set_size(descriptor: int, columns: int, lines: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
