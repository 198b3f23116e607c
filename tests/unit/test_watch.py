"""A watch lives on whatever its probes do."""

from __future__ import annotations

import asyncio
import time

import pytest

from guard.model import Reading, Silence
from guard.ports import Observation
from guard.watch import Pace, Watch
from tests.fakes import World, make_rule

PACE = Pace(poll=0.01, idle=10.0, deadline=0.05)


class Scripted:
    """A probe that does as it is told."""

    cheap = True

    def __init__(self, name: str, *, error: Exception | None = None, hangs: bool = False) -> None:
        self.name = name
        self.polls = 0
        self._error, self._hangs = error, hangs

    async def poll(self) -> Observation:
        self.polls += 1
        if self._error is not None:
            raise self._error
        if self._hangs:
            await asyncio.Event().wait()
        return Observation((Reading(self.name, 1.0, time.monotonic()),))

    def silence(self, why: str, now: float) -> Observation:
        return Observation((Silence(self.name, why, now),))

    async def close(self) -> None:
        return


def watching(*probes: Scripted) -> Watch:
    return Watch(World(make_rule()).guard, probes, PACE, lambda: None)


def heard(watch: Watch, sensor: str) -> str:
    sample = watch.guard.board.samples[sensor]
    return sample.why if isinstance(sample, Silence) else f"reading {sample.value:g}"


@pytest.mark.fault(12)
def test_a_probe_that_fails_in_an_unforeseen_way_is_silent_and_the_others_go_on() -> None:
    broken, sound = Scripted("broken", error=ZeroDivisionError("never thought of")), Scripted("sound")
    watch = watching(broken, sound)

    async def twice() -> None:
        for _ in range(2):
            await asyncio.gather(watch.look("broken"), watch.look("sound"))

    asyncio.run(twice())
    assert heard(watch, "broken") == "the probe failed: ZeroDivisionError"
    assert (heard(watch, "sound"), broken.polls, sound.polls) == ("reading 1", 2, 2)


@pytest.mark.fault(11)
def test_a_probe_that_hangs_is_silent_after_its_deadline_and_is_not_asked_twice_at_once() -> None:
    hanging, sound = Scripted("hanging", hangs=True), Scripted("sound")
    watch = watching(hanging, sound)

    async def thrice() -> None:
        await asyncio.gather(watch.look("hanging"), watch.look("sound"))
        await asyncio.gather(watch.look("hanging"), watch.look("sound"))
        await watch.look("sound")

    asyncio.run(thrice())
    assert heard(watch, "hanging") == "no answer within 0.05 s"
    assert (hanging.polls, sound.polls) == (1, 3)
