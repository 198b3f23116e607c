"""What people see in a terminal is text: names and notes of others must not move its cursor or hide a line.

Whoever may register a migration chooses its name and its notes, and a DBA reads them in a terminal that obeys control
sequences. Only the line feed, the tab and the plain colours of our own pass.
"""

from __future__ import annotations

import io
import re
import sys
from typing import Final

_COLOURS: Final = r"\x1b\[(?!(?:[0-9;]*;)?8[;m])[0-9;]*m"
"""All of them but 8, which hides."""
# C0 and C1 but tab and line feed, and what turns the direction of text or breaks lines unseen.
_UNSEEN: Final = re.compile(rf"({_COLOURS})|[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """The text with a question mark for each character that would do something rather than be seen."""
    return _UNSEEN.sub(lambda found: found[1] or "?", text)


class _Plain(io.TextIOWrapper):
    """Standard output that shows what it is given."""

    def write(self, text: str) -> int:
        """Write it; the length of what was given."""
        super().write(plain(text))
        return len(text)


def show_plainly() -> None:
    """From now on standard output and standard error show what they are given; closed ones stay closed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            encoding, by_line = stream.encoding, stream.line_buffering
            # A name that the terminal cannot write is no reason to fail.
            shown = _Plain(stream.detach(), encoding=encoding, errors="backslashreplace", line_buffering=by_line)
            setattr(sys, name, shown)
