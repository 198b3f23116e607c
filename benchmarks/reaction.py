"""How soon a breach becomes a pause, a pause the end of batches, and a recovery a resume."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rig import HOLD, LIMIT, WELL, Rig, a_phase, stopping
from benchmarks.table import Bar, Row
from benchmarks.watcher import Watcher
from guard.demo.waiting import wait_for

FRESH_FOR = 0.2
"""Seconds for which guard.client uses an answer again: its default."""
_SETTLE = 0.15
"""Seconds beyond FRESH_FOR in which a batch that should not begin would be seen."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """One breach and its end, in seconds."""

    to_pause: float
    """Breach visible → pause visible to a client."""
    to_last_batch: float
    """Pause visible → the last batch began; negative where none began after it."""
    to_resume: float
    """Recovery visible → resume visible, less the hold."""


class Breaches:
    """Stops and releases the standby's replay under a client that works."""

    def __init__(self, rig: Rig, watcher: Watcher, diary: Path) -> None:
        self._rig, self._watcher, self._diary = rig, watcher, diary
        self._read = 0
        self._starts: list[float] = []

    def once(self, poll: float, *, meanwhile: Callable[[], None] = lambda: None) -> Reaction:
        """One breach, at a random phase of the poll. *meanwhile* is called between the breach and the wait for a pause.

        Raises TimeoutError where the guard does not react, AssertionError where the scene was not as it must be.
        """
        self._wait_for_batches()
        self._rig.cluster.lag_on()
        time.sleep(a_phase(poll))
        before = self._watcher.last
        assert before.behind < LIMIT, f"breached too early: {before}"
        assert before.order == "proceed", f"paused before the breach: {before}"
        self._write(2 * LIMIT)
        meanwhile()
        visible = self._watcher.first(lambda look: look.behind > LIMIT, before.at)
        paused = self._watcher.first(lambda look: look.order == "pause", before.at)
        time.sleep(FRESH_FOR + _SETTLE + a_phase(poll))
        released = self._watcher.last.at
        self._rig.cluster.lag_off()
        # A standby tells its position when WAL arrives; without any, once a second.
        wait_for(lambda: self._write(1) and self._watcher.last.behind < WELL, every=0.005)
        well = self._watcher.first(lambda look: look.behind < WELL, released)
        resumed = self._watcher.first(lambda look: look.order == "proceed", released)
        last = max(start for start in self._batches() if start < released)
        return Reaction(paused - visible, last - paused, resumed - well - HOLD)

    def _write(self, size: int) -> bool:
        # In a transaction, since only a commit flushes it.
        self._rig.admin.execute("select pg_logical_emit_message(true, 'bench', repeat('x', %s))", [size])
        return True

    def _wait_for_batches(self) -> None:
        seen = len(self._batches())
        wait_for(lambda: len(self._batches()) > seen + 2, within=30, message="the client to begin batches")

    def _batches(self) -> list[float]:
        text = self._diary.read_text() if self._diary.exists() else ""
        whole = text.rfind("\n") + 1
        self._starts += [float(line) for line in text[self._read : whole].split()]
        self._read = whole
        return self._starts


@contextmanager
def breaches(rig: Rig) -> Iterator[Breaches]:
    """The scene: a working client and a watcher; needs a daemon that reacts."""
    diary = rig.directory / f"batches-{time.monotonic_ns()}"
    with (
        stopping(rig.child("client", "migrator", str(diary))) as client,
        Watcher(rig.connect("postgres", "watcher")) as watcher,
    ):
        wait_for(
            lambda: not client.running or (diary.exists() and diary.stat().st_size),
            within=30,
            message=lambda: f"the first batch:\n{client.tail()}",
        )
        assert client.running, client.tail()
        yield Breaches(rig, watcher, diary)


def measure(rig: Rig, poll: float, runs: int, say: Callable[[str], None]) -> list[Row]:
    """Three rows for one poll interval."""
    reactions = []
    with breaches(rig) as scene:
        for number in range(runs):
            reactions.append(scene.once(poll))
            if number % 20 == 19:
                say(f"{number + 1} of {runs} breaches")
    ms, at = poll * 1000, f"poll {poll:g} s"
    return [
        _row(f"breach visible → pause written, {at}", [r.to_pause for r in reactions], ms + 50),
        _row(f"pause written → last batch begun, {at}", [r.to_last_batch for r in reactions], FRESH_FOR * 1000 + 10),
        _row(f"recovery visible → resume, less the hold, {at}", [r.to_resume for r in reactions], ms + 50),
    ]


def _row(what: str, seconds: list[float], limit: float) -> Row:
    return Row(what, tuple(second * 1000 for second in seconds), "ms", Bar(limit))
