"""How often things happened and how long they took since the process began: plain counts, for whoever draws them.

Nothing here is decided by, and a reload keeps it. A restart begins at zero, as who reads counters expects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from guard.model import Event, Reading, Silence
from guard.ports import Observation

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds. From a decision without a write, to a migration whose batches take a minute."""


@dataclass(slots=True)
class Durations:
    """How many took no longer than each of BOUNDS, and longer than all; a histogram."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0
    last: float | None = None
    """Seconds; None: there was none yet."""

    def add(self, seconds: float) -> None:
        """One more."""
        place = next((number for number, bound in enumerate(BOUNDS) if seconds <= bound), len(BOUNDS))
        self.counts[place] += 1
        self.total += seconds
        self.last = seconds

    def copy(self) -> Durations:
        """As of now; it does not grow."""
        return Durations(list(self.counts), self.total, self.last)


@dataclass(slots=True)
class Visits:
    """What came of asking one probe."""

    took: Durations = field(default_factory=Durations)
    """The visits that have ended."""
    silences: int = 0
    """Visits that brought nothing but silence, or no answer in time."""
    count: int = 0
    heard: float | None = None
    """When an answer came last, on the monotonic clock."""


class Tally:
    """The counts of one guarded database."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        """Events that are in the database, by kind."""
        self.holding: Durations = Durations()
        """From the order to pause until the pause was effective."""
        self.deciding: Durations = Durations()
        """From the first reading that a step had not seen yet until what follows from it was written."""
        self.visits: dict[str, Visits] = {}
        """By the probe's name."""

    def happened(self, event: Event) -> None:
        """An event is in the database."""
        self.events[event.kind] += 1
        state = event.payload.get("state")
        if event.kind != "effective" or not isinstance(state, dict):
            return
        since, held = state.get("since_wall"), state.get("effective_since_wall")
        # A pause that was broken holds again long after it was ordered: that says nothing about how fast it was obeyed.
        if since is not None and held is not None and not state.get("broken"):
            self.holding.add(max(0.0, held - since))

    def visited(self, name: str, observation: Observation, began: float, now: float) -> None:
        """A probe was asked at *began*, and this came of it by *now*."""
        visits = self.visits.setdefault(name, Visits())
        visits.count += 1
        visits.took.add(now - began)
        told = observation.roster is not None or any(isinstance(each, Reading) for each in observation.samples)
        if not told and any(isinstance(each, Silence) for each in observation.samples):
            visits.silences += 1
        else:
            visits.heard = now

    def copy(self) -> Tally:
        """As of now; it does not grow."""
        copy = Tally()
        copy.events, copy.holding, copy.deciding = self.events.copy(), self.holding.copy(), self.deciding.copy()
        copy.visits = {name: replace(visits, took=visits.took.copy()) for name, visits in self.visits.items()}
        return copy

    def only(self, names: Iterable[str]) -> None:
        """Forget every probe but these: they are not asked any more."""
        known = set(names)
        self.visits = {name: visits for name, visits in self.visits.items() if name in known}
