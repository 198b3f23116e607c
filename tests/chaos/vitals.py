"""What the daemon needs of memory, descriptors and connections, over each of its lives.

Flat means: in the last third of a life as in its first, in calm moments. It knows no fault.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.chaos.world import World

EVERY = 2.0
WARM = 8.0
"""Seconds of a life that do not count: what is imported late, and connections that are made when first needed."""
LONG_ENOUGH = 45.0
MEMORY, DESCRIPTORS, CONNECTIONS = 120.0, 90, 18
"""Most megabytes, descriptors, and connections for two databases (7 each, and what a cut has just left behind)."""
GROWTH = {"megabytes": 6.0, "descriptors": 6.0, "connections": 3.0}
"""Between the first and the last third: above what a reconnect, a hung probe or SQLite's cache add and give back."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Of one moment."""

    at: float
    megabytes: float
    descriptors: float
    connections: float


@dataclass
class Vitals:
    """Samples by process."""

    world: World
    lives: dict[int, list[Sample]] = field(default_factory=dict)
    _due: float = 0.0

    def sample(self, *, calm: bool) -> None:
        """Take a sample where it is time and nothing is wrong with the world."""
        life = self.world.guard.lives[-1] if self.world.guard.lives else None
        if not calm or time.monotonic() < self._due or life is None or time.time() - life.began < WARM:
            return
        self._due = time.monotonic() + EVERY
        query = "select count(*) from pg_stat_activity where usename = 'guard_login'"
        try:
            process = Path(f"/proc/{life.pid}")
            memory = next(line for line in (process / "status").read_text().splitlines() if line.startswith("VmRSS"))
            descriptors = len(list((process / "fd").iterdir()))
            [(connections,)] = self.world.primary.execute(query)
        except (OSError, StopIteration, psycopg.Error):  # it has just ended, or this is no Linux
            return
        self.lives.setdefault(life.pid, []).append(
            Sample(time.time(), int(memory.split()[1]) / 1024, descriptors, connections)
        )

    def problems(self) -> list[str]:
        """What is not flat, or too much."""
        found = []
        for pid, samples in self.lives.items():
            most = samples[-1]
            if most.megabytes > MEMORY or most.descriptors > DESCRIPTORS or most.connections > CONNECTIONS:
                found.append(f"daemon {pid} needs too much: {most}")
            if samples[-1].at - samples[0].at < LONG_ENOUGH or len(samples) < 9:
                continue
            for what, allowed in GROWTH.items():
                first, last = _thirds([getattr(sample, what) for sample in samples])
                if last - first > allowed:
                    found.append(f"daemon {pid}: {what} grew from {first:g} to {last:g}")
        return found

    def words(self) -> str:
        """The highest of each, and how long the longest life was."""
        samples = [sample for life in self.lives.values() for sample in life]
        if not samples:
            return "the daemon's needs were not measured"
        longest = max(life[-1].at - life[0].at for life in self.lives.values())
        return (
            f"daemon: {max(s.megabytes for s in samples):.0f} MB, {max(s.descriptors for s in samples):g} descriptors, "
            f"{max(s.connections for s in samples):g} connections at most in calm; "
            f"{len(self.lives)} lives measured, the longest {longest:.0f} s"
        )


def _thirds(values: list[float]) -> tuple[float, float]:
    part = len(values) // 3
    return statistics.median(values[:part]), statistics.median(values[-part:])
