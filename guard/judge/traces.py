"""The course of one signal through a run, in bounded memory however long that is. Pure; times are monotonic."""

from __future__ import annotations

POINTS = 64
"""Shares of time, each with its worst value: as many as anybody tells apart in a line of text."""
_FIRST_SHARE = 2.0
"""Seconds of a share at first; they double each time that the shares would be more than POINTS."""


class Trace:
    """Worst values by shares of time since *began*; a share without a value is a gap."""

    def __init__(self, began: float, *, less_is_worse: bool = False) -> None:
        self.values: list[float | None] = []
        self.marked: list[bool] = []
        """Of each share, whether what was marked fell into it."""
        self.worst: tuple[float, float] | None = None
        """The worst value of all, and when it was taken by the clock of whoever adds."""
        self._began, self._share, self._less = began, _FIRST_SHARE, less_is_worse

    def add(self, now: float, taken: tuple[float, float] | None, *, marked: bool) -> None:
        """What the signal is now: its value, which is a number, and when it was taken; None where nobody knows."""
        value = None if taken is None else taken[0]
        index = max(0, int((now - self._began) / self._share))
        while index >= POINTS:
            self._fold()
            index //= 2
        missing = index + 1 - len(self.values)
        self.values += [None] * missing
        self.marked += [False] * missing
        self.values[index] = self._worse(self.values[index], value)
        self.marked[index] |= marked
        if taken is not None and (self.worst is None or self._worse(self.worst[0], taken[0]) != self.worst[0]):
            self.worst = taken

    def _fold(self) -> None:
        """Make one share of each two."""
        values, marked = self.values, self.marked
        pairs = range(0, len(values), 2)
        self.values = [self._worse(values[at], values[at + 1] if at + 1 < len(values) else None) for at in pairs]
        self.marked = [any(marked[at : at + 2]) for at in pairs]
        self._share *= 2

    def _worse(self, one: float | None, other: float | None) -> float | None:
        if one is None or other is None:
            return one if other is None else other
        return min(one, other) if self._less else max(one, other)
