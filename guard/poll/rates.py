"""Counters of a server as rates, from own samples of them. Pure; the time is an argument.

A counter that went back, or is told to have been reset, says nothing about what happened in between: the memory begins
anew, and for one interval there is no rate. It is never negative and never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WINDOW: Final = 10.0
"""Seconds over which rates and shares are taken: sessions report about once a second, so much less is noise."""
MINUTE: Final = 60.0
"""What is told by the minute is counted in the last one; also the longest interval that says anything about now."""

NOTHING: Final = "nothing to measure: "
"""How the reason of a silence begins where the source is well and only nothing has happened."""


class Counters:
    """Remembers samples of several counters of one server, for a minute."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, Mapping[str, float]]] = []
        self._era: object = None
        self.why = ""
        """Why there is no rate yet, in words."""

    def add(
        self, now: float, values: Mapping[str, float], era: object = None, rounded: Mapping[str, float] | None = None
    ) -> None:
        """Take a sample. *era* is another one where the counters may have begun anew (a reset, a timeline).

        That one of *values* went back says the same; *rounded* are further counters, of which it says nothing.
        """
        last = self._samples[-1] if self._samples else None
        self.why = "only looked at once so far, and a rate takes two looks"
        if last is not None and (era != self._era or any(values[name] < last[1].get(name, 0) for name in values)):
            self._samples, self.why = [], "the server's counters were reset since the last look"
        elif last is not None and now - last[0] > MINUTE:
            self._samples, self.why = [], f"not looked at for {now - last[0]:.0f} s, and a rate takes two looks"
        self._era = era
        self._samples.append((now, {**values, **(rounded or {})}))
        while len(self._samples) > 2 and now - self._samples[0][0] > MINUTE:
            del self._samples[0]

    def grown(self, name: str, window: float = WINDOW) -> tuple[float, float] | None:
        """By how much a counter has grown in the last *window* seconds, and in how many; None without two samples.

        Where two samples lie further apart it is the time between these two.
        """
        if len(self._samples) < 2:
            return None
        now, newest = self._samples[-1]
        within = [sample for sample in self._samples[:-1] if now - sample[0] <= window]
        then, oldest = within[0] if within else self._samples[-2]
        return newest[name] - oldest[name], now - then
