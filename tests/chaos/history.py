"""What has happened to the world so far, and what each fault cost: pure records, shared by oracle and table."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.chaos.faults import Fault
from tests.chaos.plan import Slot

BUSY = 1.0
"""Seconds that a machine on which two or three of these runs, and a build, share two cores may add to any reaction."""
TWO = "two at once"


class Violation(Exception):
    """Something happened that must not."""


@dataclass
class Happened:
    """One fault, in wall times."""

    slot: Slot
    fault: Fault
    place: str
    """The one that it concerned, where it concerned one alone."""
    at: float
    healed: float | None = None
    resumed: float | None = None
    """When batches flowed everywhere again."""
    paused_after: float | None = None
    """Seconds until the last batch before the pause, where there had to be one."""
    worst: float = 0.0
    """Seconds that the longest request of the application took."""
    errors: int = 0
    """Of the application."""

    def covers(self, began: float, ended: float, margin: float) -> bool:
        """Whether it was in force, or over for less than *margin* seconds, at some moment of a time."""
        over = time.time() if self.healed is None else self.healed
        return began <= over + margin and ended >= self.at - 0.2

    @property
    def name(self) -> str:
        """Of the fault, or of both."""
        return self.slot.name + (f" + {self.slot.second.name}" if self.slot.second else "")

    def line(self, zero: float) -> str:
        """One line for people."""
        words = [f"{_clock(self.at - zero)}  #{self.slot.number:<3} {self.name}"]
        words += [f"({self.place})"] if self.fault.alone else []
        words += [f"{self.healed - self.at:.1f} s"] if self.healed else ["..."]
        words += [f"paused after {self.paused_after:.2f} s"] if self.paused_after is not None else []
        words += [f"resumed after {self.resumed - self.healed:.2f} s"] if self.resumed and self.healed else []
        words += [f"worst request {self.worst * 1000:.0f} ms"] if self.worst else []
        words += [f"{self.errors} errors of the application"] if self.errors else []
        return ", ".join([" ".join(words[:2]), *words[2:]]) if self.fault.alone else ", ".join(words)


@dataclass
class History:
    """All of it."""

    zero: float = field(default_factory=time.time)
    faults: list[Happened] = field(default_factory=list)

    def during(self, began: float, ended: float, margin: float) -> list[Happened]:
        """Faults that a time may be put down to."""
        return [each for each in self.faults if each.covers(began, ended, margin)]

    def around(self, count: int = 4) -> str:
        """The latest faults, for the report of a violation."""
        return "\n".join("  " + each.line(self.zero) for each in self.faults[-count:]) or "  none yet"

    def table(self) -> str:
        """Fault, how often, time to pause and to resume (median, maximum), worst request of the application."""
        head = f"{'fault':<46} {'times':>5}  {'to pause, s':>13}  {'to resume, s':>13}  {'worst request, ms':>17}"
        lines = [head, f"{'':<46} {'':>5}  {'median    max':>13}  {'median    max':>13}"]
        names = sorted({each.slot.name for each in self.faults if not each.slot.second})
        for name in [*names, *([TWO] if any(each.slot.second for each in self.faults) else [])]:
            same = [each for each in self.faults if (TWO if each.slot.second else each.slot.name) == name]
            paused = _pair(each.paused_after for each in same)
            resumed = _pair(each.resumed - each.healed for each in same if each.resumed and each.healed)
            worst = f"{max(each.worst for each in same) * 1000:>10.0f}"
            errors = sum(each.errors for each in same)
            worst += f", {errors} err" if errors else ""
            lines.append(f"{name:<46} {len(same):>5}  {paused:>13}  {resumed:>13}  {worst:>17}")
        return "\n".join(lines)


def _pair(values: Iterable[float | None]) -> str:
    known: Sequence[float] = [value for value in values if value is not None]
    return f"{statistics.median(known):.2f} {max(known):>6.2f}" if known else "-"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"
