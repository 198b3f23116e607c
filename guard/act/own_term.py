"""Which term this machine's guard took last, kept in its state directory across restarts.

Who leads under that very term can be nobody but our own dead predecessor, since one daemon at a time may use a state
directory. It is a shortcut and never needed: without it the new guard only looks for longer before it takes over.
"""

from __future__ import annotations

import contextlib
from pathlib import Path


class OwnTerm:
    """A small file; nothing here raises for what the disk does."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, term: int) -> None:
        """Remember the term that was just taken; a kill leaves the old one or the new one whole."""
        new = self._path.with_suffix(".new")
        with contextlib.suppress(OSError):
            new.write_text(f"{term}\n")
            new.replace(self._path)

    def last(self) -> int:
        """The term that was taken last; 0 where none is known."""
        try:
            return int(self._path.read_text())
        except (OSError, ValueError):
            return 0
