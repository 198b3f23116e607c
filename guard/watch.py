"""One database under watch: its probes' results go to its guard, and its guard steps whenever something was heard.

It knows no adapter. A probe that hangs costs only its own freshness: the others go on, and so does the guard. Where
the event loop itself stood still (a frozen process, a machine without a free core), what was read before is not judged:
every probe looks again first.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass

from guard.cycle import Chore, Guard
from guard.decide import notices
from guard.errors import Fenced, GuardError, HeldByAnother
from guard.ports import Observation, Probe

log = logging.getLogger("guard.watch")

OVERDUE = 0.5
"""Seconds that a probe may overrun its deadline before it is reported silent; its own deadline should come first."""
READY_EVERY = 10.0
"""Seconds between two looks whether the connection that cancels still stands."""
LONGEST_WAIT = 1.0
"""Step at least this often, so that readings age and stale ones become unknown."""
PULSE = 0.2
LATE = 1.0
"""Seconds that the event loop may stand still before what was read until then counts as old."""
WORTH_TELLING = 3.0
"""Seconds of standing still of which people are told: about then migrations begin to notice."""


@dataclass(slots=True, eq=False)
class _Duty:
    """A probe and what is under way for it."""

    probe: Probe
    task: asyncio.Task[Observation] | None = None
    last: float = float("-inf")
    """When it was asked last."""
    offered: float = float("-inf")
    """When it was asked last, or found still busy with the question before."""
    heard: float = float("-inf")
    """When it was asked for what was heard of it last."""


@dataclass(slots=True)
class Pace:
    """How often to look, in seconds."""

    poll: float
    idle: float
    deadline: float

    @property
    def longest_round(self) -> float:
        """Until every source was asked and judged once more: at rest, or while a server keeps silent."""
        return max(self.idle, self.poll + 2 * self.deadline)


class _Pulse:
    """Whether the event loop is on time. It is counted while steps wait for the database too, which is no lateness."""

    def __init__(self) -> None:
        self._beat = time.monotonic()
        self._late = 0.0

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            self.beat()
            await asyncio.sleep(PULSE)

    def beat(self) -> None:
        """The loop is alive."""
        now = time.monotonic()
        self._late, self._beat = max(self._late, now - self._beat - PULSE), now

    def late(self) -> float:
        """Seconds that the loop stood still since this was asked last; 0 where that was not long enough to matter."""
        self.beat()  # whoever runs first after a standstill must know of it
        late, self._late = self._late, 0.0
        return late if late > LATE else 0.0


class Watch:
    """Runs one guard. `ended` is set when it may not go on (fenced); `judged` is the time of the last judgement."""

    def __init__(self, guard: Guard, probes: Sequence[Probe], pace: Pace, told: Callable[[], None]) -> None:
        self.guard = guard
        self.name = guard.options.database
        self.pace = pace
        self.ended = asyncio.Event()
        self.ended_because = ""
        self.began = self.judged = time.monotonic()
        self.stepped: Callable[[], None] = lambda: None
        """Called after each step, and when there will be no more; it must return at once."""
        self._told = told
        self._duties = [_Duty(probe) for probe in probes]
        self._heard = asyncio.Event()
        self._chores: set[asyncio.Task[None]] = set()
        self._was_dormant = False
        self._trouble = ""
        self._pulse = _Pulse()
        self._anew_since: float | None = None
        """Since when every probe is waited for, after the loop stood still."""
        self._readied = float("-inf")
        self._leaving = False
        self._unjudged: float | None = None
        """When the first of the readings came that no step has seen yet."""

    @property
    def duties(self) -> tuple[str, ...]:
        """Names of the probes, in their order."""
        return tuple(duty.probe.name for duty in self._duties)

    @property
    def asked(self) -> float:
        """When the probe that has waited longest was asked: a sign of life of the scheduler, whatever comes back."""
        return min((duty.offered for duty in self._duties), default=float("inf"))

    async def look(self, name: str) -> None:
        """Poll one probe, unless it is still busy or has its rest while nobody migrates."""
        for duty in self._duties:
            if duty.probe.name == name:
                await self._look(duty)

    async def _look(self, duty: _Duty) -> None:
        now = time.monotonic()
        if duty.task is not None and not duty.task.done():
            duty.offered = now
            return
        # A tick that comes a little early must not make the rest twice as long.
        if self.guard.dormant and not duty.probe.cheap and now - duty.last < self.pace.idle - self.pace.poll / 2:
            return
        duty.last = duty.offered = now
        duty.task = asyncio.create_task(duty.probe.poll(), name=f"{self.name} {duty.probe.name}")
        await asyncio.wait({duty.task}, timeout=self.pace.deadline + OVERDUE)
        if duty not in self._duties:
            # Exchanged meanwhile: its answer may be to a question that no rule asks any more.
            duty.task.add_done_callback(lambda task: task.cancelled() or task.exception())
            return
        if not duty.task.done():
            self._hear(duty, duty.probe.silence(f"no answer within {self.pace.deadline:g} s", time.monotonic()))
            duty.task.add_done_callback(lambda task: task.cancelled() or task.exception())
            return
        try:
            self._hear(duty, duty.task.result())
        except Exception as error:
            # A probe promises silences; whatever else it does must not end the watch.
            log.exception("probe %s of %s failed in an unforeseen way", duty.probe.name, self.name)
            self._hear(duty, duty.probe.silence(f"the probe failed: {type(error).__name__}", time.monotonic()))

    def _hear(self, duty: _Duty, observation: Observation) -> None:
        now, duty.heard = time.monotonic(), duty.last
        self.guard.tally.visited(duty.probe.name, observation, duty.last, now)
        self._unjudged = now if self._unjudged is None else self._unjudged
        self.guard.put(observation)
        self._heard.set()

    def wake(self) -> None:
        """Somebody registered: look at once at who is here."""
        for duty in self._duties:
            if duty.probe.cheap:
                self._spawn(self._look(duty))

    async def run(self) -> None:
        """Step until cancelled, fenced, or told to leave."""
        self._pulse = _Pulse()  # what went before, such as a lead that had to be waited for, was no standstill
        pulse = asyncio.create_task(self._pulse.run(), name=f"pulse {self.name}")
        try:
            due: float | None = None
            while not self.ended.is_set():
                now = time.monotonic()
                wait = LONGEST_WAIT if due is None else min(max(due - now, 0.01), LONGEST_WAIT)
                with contextlib.suppress(TimeoutError):
                    # Not wait_for: before Python 3.12 it loses a cancel that comes with what it waits for.
                    async with asyncio.timeout(wait):
                        await self._heard.wait()
                self._heard.clear()
                if self._leaving:
                    break
                try:
                    due = await self._step() if self._has_looked() else None
                except Exception:
                    # Nobody else would notice that this database is not guarded any more.
                    log.exception("a step of %s failed in an unforeseen way", self.name)
                    due = None
        finally:
            pulse.cancel()

    def _has_looked(self) -> bool:
        """Whether all that is known was asked for after the loop last stood still; where not, look at it anew."""
        now = time.monotonic()
        if late := self._pulse.late():
            self._say_late(late)
            self._anew_since = now
            for duty in self._duties:
                self._spawn(self._look(duty))
        if self._anew_since is None:
            return True
        resting = self.guard.dormant
        missing = any(duty.heard < self._anew_since for duty in self._duties if duty.probe.cheap or not resting)
        # What hangs is reported silent in its time, but was perhaps asked before: then nobody asks it twice.
        if missing and now - self._anew_since < self.pace.deadline + OVERDUE + self.pace.poll:
            return False
        self._anew_since = None
        return True

    def _say_late(self, late: float) -> None:
        log.warning("%s: the guard itself stood still for %.1f s; it looks anew before it judges", self.name, late)
        if late >= WORTH_TELLING and not self.guard.dormant:
            self.guard.tell(notices.stood_still(late), time.time())

    async def _step(self) -> float | None:
        unjudged, self._unjudged = self._unjudged, None
        try:
            await self.guard.lead_again(time.monotonic(), time.time())
            step = await self.guard.step(time.monotonic(), time.time())
        except (Fenced, HeldByAnother) as error:
            self.ended_because = f"fenced: {error}"
            log.critical("%s: %s; this guard writes nothing more", self.name, self.ended_because)
            self.ended.set()
            self.stepped()
            return None
        except Exception:
            log.exception("a judgement of %s failed in an unforeseen way", self.name)
            return None
        self.judged = time.monotonic()
        if unjudged is not None:
            self.guard.tally.deciding.add(self.judged - unjudged)
        for chore in step.chores:
            self._spawn(self._carry_out(chore))
        self._told()
        self.stepped()
        self._say_trouble()
        self._make_ready()
        self._rouse()
        return step.due

    def _say_trouble(self) -> None:
        trouble = self.guard.publisher.trouble
        if trouble != self._trouble:
            self._trouble = trouble
            if trouble:
                log.error("%s: cannot signal: %s; migrations hold when the lease ends", self.name, trouble)
            else:
                log.warning("%s: can signal again", self.name)
                self._readied = float("-inf")

    def _make_ready(self) -> None:
        """Keep the connection that cancels open; after a server that came back, its successor."""
        if self.guard.publisher.leading and time.monotonic() - self._readied >= READY_EVERY:
            self._readied = time.monotonic()
            self._spawn(self.guard.hands.canceller.ready())

    def _rouse(self) -> None:
        """When the first migration comes, every probe looks at once and not at its leisure."""
        dormant = self.guard.dormant
        if self._was_dormant and not dormant:
            for duty in self._duties:
                self._spawn(self._look(duty))
        self._was_dormant = dormant

    async def _carry_out(self, chore: Chore) -> None:
        try:
            result = await chore.work
        except Exception:
            log.exception("%s: %s of %s failed in an unforeseen way", self.name, chore.kind, chore.key[0])
            result = None
        self.guard.done(chore, result)
        self._heard.set()

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    async def exchange(self, probes: Sequence[Probe], pace: Pace) -> None:
        """Look through other probes from now on."""
        old, self._duties, self.pace = self._duties, [_Duty(probe) for probe in probes], pace
        self.guard.tally.only(self.duties)
        for duty in old:
            await _quietly(duty.probe.close())

    def leave(self) -> None:
        """Begin no more steps. One that is under way ends by itself: cancelled while it writes, it would lose the
        session of which the last word has to come."""
        self._leaving = True
        self._heard.set()

    async def close(self) -> None:
        """Release the lease in words and let go of every connection; bounded by the caller."""
        for task in (*self._chores, *(duty.task for duty in self._duties if duty.task)):
            task.cancel()
        if not self.ended.is_set():
            await _quietly(self.guard.release())
        hands = self.guard.hands
        closing = [duty.probe.close() for duty in self._duties]
        closing += [hands.gate.close(), hands.canceller.close(), hands.signal.close()]
        await asyncio.gather(*(_quietly(work) for work in closing))


async def _quietly(work: Coroutine[object, object, None]) -> None:
    try:
        await asyncio.wait_for(work, 1.5)
    except (GuardError, TimeoutError, OSError) as error:
        log.warning("while closing: %s", error)
    except Exception:
        # What is let go of may not keep the rest from being let go of, nor new probes from being asked.
        log.exception("closing failed in an unforeseen way")
