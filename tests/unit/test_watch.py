"""A watch lives on whatever its probes do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from guard.cycle.values import Step
from guard.model import Reading, Silence
from guard.ports import Observation
from guard.watch import LATE, PULSE, Pace, Watch
from tests.fakes import World, make_rule

PACE = Pace(poll=0.01, idle=10.0, deadline=0.05)


class Scripted:
    """A probe that does as it is told."""

    cheap = True

    def __init__(self, name: str, *, error: Exception | None = None, hangs: bool = False) -> None:
        self.name = name
        self.polls = 0
        self._error, self._hangs = error, hangs
        self.free: asyncio.Event | None = None
        """Where it is there, answers wait for it."""

    async def poll(self) -> Observation:
        self.polls += 1
        if self._error is not None:
            raise self._error
        if self._hangs:
            await asyncio.Event().wait()
        if self.free is not None:
            await self.free.wait()
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


@pytest.mark.fault(4)
@pytest.mark.parametrize("steps", range(5))
def test_a_watch_ends_when_it_is_told_to_although_a_probe_is_heard_in_the_same_moment(steps: int) -> None:
    watch = watching(Scripted("sound"))

    async def end_while_heard() -> bool:
        task = asyncio.create_task(watch.run())
        await asyncio.sleep(0.02)
        watch._heard.set()
        for _ in range(steps):  # the cancel finds it at each point of its waking
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task}, timeout=0.5)
        ended = task.done()
        watch.ended.set()
        watch._heard.set()
        await asyncio.wait({task}, timeout=1.0)
        return ended

    assert asyncio.run(end_while_heard())


@pytest.mark.fault(4)
def test_a_watch_that_is_to_leave_ends_the_step_that_it_is_in_and_begins_no_other() -> None:
    watch = watching(Scripted("sound"))
    writing, written = asyncio.Event(), asyncio.Event()
    steps: list[str] = []

    async def slowly(now: float, wall: float) -> Step:
        steps.append("begun")
        writing.set()
        await written.wait()
        steps.append("ended")
        return Step(None, ())

    watch.guard.step = slowly  # type: ignore[method-assign]

    async def leave() -> bool:
        task = asyncio.create_task(watch.run())
        watch._heard.set()
        await asyncio.wait_for(writing.wait(), 5)
        watch.leave()
        early, _ = await asyncio.wait({task}, timeout=0.05)
        written.set()
        await asyncio.wait_for(task, 5)
        return bool(early)

    assert not asyncio.run(leave())
    assert steps == ["begun", "ended"]


@pytest.mark.fault(14)
@pytest.mark.parametrize("answers", [True, False])
def test_after_the_loop_stood_still_nothing_is_judged_before_every_probe_was_asked_again(answers: bool) -> None:
    probe, steps = Scripted("lag sensor"), 0

    def told() -> None:
        nonlocal steps
        steps += 1

    watch = Watch(World(make_rule()).guard, [probe], Pace(poll=0.01, idle=10.0, deadline=0.4), told)

    async def stand_still() -> int:
        running = asyncio.create_task(watch.run())
        await watch.look("lag sensor")
        await until(lambda: steps > 0)
        before, polls, probe.free = steps, probe.polls, asyncio.Event()
        time.sleep(LATE + PULSE + 0.1)  # noqa: ASYNC251 -- that is the fault
        await until(lambda: probe.polls > polls)
        assert steps == before
        if answers:
            probe.free.set()
        await until(lambda: steps > before)
        running.cancel()
        return steps

    assert asyncio.run(stand_still()) > 0
    # One that hangs holds nobody up for longer than its deadline, and is silent then.
    assert heard(watch, "lag sensor") == ("reading 1" if answers else "no answer within 0.4 s")


def test_a_start_that_took_its_time_is_no_standstill(caplog: pytest.LogCaptureFixture) -> None:
    steps: list[float] = []
    watch = Watch(World(make_rule()).guard, [Scripted("lag sensor")], PACE, lambda: steps.append(time.monotonic()))

    async def begin_late() -> None:
        await asyncio.sleep(LATE + PULSE + 0.1)  # as long as it may take to lead
        running = asyncio.create_task(watch.run())
        await watch.look("lag sensor")
        await until(lambda: bool(steps))
        running.cancel()

    asyncio.run(begin_late())
    assert "stood still" not in caplog.text


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until it is so, for two seconds at most."""
    end = time.monotonic() + 2
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


@pytest.mark.fault(10)
def test_probes_that_cannot_be_closed_do_not_keep_their_successors_from_being_asked() -> None:
    class Stuck(Scripted):
        async def close(self) -> None:
            raise RuntimeError("never thought of")

    async def work() -> Scripted:
        watch, new = watching(Stuck("old"), Stuck("older")), Scripted("new")
        await watch.exchange([new], PACE)
        await watch.look("new")
        return new

    assert asyncio.run(work()).polls == 1


@pytest.mark.fault(12)
def test_a_watch_goes_on_although_what_follows_a_judgement_fails_in_an_unforeseen_way() -> None:
    told = 0

    def tell() -> None:
        nonlocal told
        told += 1
        raise RuntimeError("never thought of")

    async def work() -> None:
        watch = Watch(World(make_rule()).guard, [Scripted("a")], PACE, tell)
        running = asyncio.create_task(watch.run())
        while told < 2 and not running.done():
            await watch.look("a")
            await asyncio.sleep(0.01)
        assert not running.done()
        running.cancel()
        await asyncio.wait({running})

    asyncio.run(asyncio.wait_for(work(), 10.0))
