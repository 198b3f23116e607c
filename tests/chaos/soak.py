"""Minutes of one fault after another, by a plan that a seed gives, with the oracle looking on all the time."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator

from tests.chaos.faults import Scene, together
from tests.chaos.history import Happened, History, Violation
from tests.chaos.kinds import FAULTS
from tests.chaos.oracle import Oracle
from tests.chaos.plan import Slot, plan
from tests.chaos.world import World

CONVERGED_WITHIN = 30.0
"""Seconds from the healing of a fault until batches flow everywhere."""
_LOOK = 0.5
PLACES = ("shop", "stock")


def run(seed: int, seconds: float, *, every: float, only: str = "", rows: int) -> int:
    """Chaos for so many seconds; the exit code."""
    chosen = {name: each for name, each in FAULTS.items() if any(word.strip() in name for word in only.split(","))}
    slots = plan(seed, seconds, every, {name: each.lengths for name, each in chosen.items()}, together)
    say(f"chaos: seed {seed}, {len(slots)} faults of {len(chosen)} kinds, one each {every:g} s")
    with World(PLACES, standbys=2, rows=rows) as world, kept(world):
        say(f"logs in {world.directory} (kept where something is wrong)")
        world.start_work(load=True)
        soak = _Soak(world)
        try:
            soak.begin()
            for slot in slots:
                soak.play(slot)
            soak.end()
            world.keep = False
        except (Violation, TimeoutError) as violation:
            soak.report(violation)
            words = f" --only '{only}'" if only else ""
            say(f"again: ./dev chaos --seed {seed} --minutes {seconds / 60:g} --every {every:g}s{words}")
            return 1
        except KeyboardInterrupt:
            say(soak.history.table())
            raise
    say(f"seed {seed}: all held")
    return 0


@contextlib.contextmanager
def kept(world: World) -> Iterator[None]:
    """Keep the logs of whatever does not come to a good end, also of a mistake in here."""
    world.keep = True
    try:
        yield
    except KeyboardInterrupt:
        world.keep = False
        raise
    finally:
        if world.keep:
            say(f"logs: {world.directory}")


class _Soak:
    """One run."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.history = History()
        self.oracle = Oracle(world, self.history)

    def begin(self) -> None:
        """Wait until batches flow; time zero is then."""
        slot = Slot(0, 0.0, "start", 0.0, 0)
        start = Happened(slot, FAULTS["migration killed"], "", at=time.time(), healed=time.time())
        self.oracle.settle(start, CONVERGED_WITHIN)
        self.history.zero = time.time()
        say("batches flow")

    def play(self, slot: Slot) -> None:
        """One fault: wait for its time, let it begin, last, be healed, and the world recover."""
        self._look_until(self.history.zero + slot.at)
        fault, scene = FAULTS[slot.name], self._scene(slot)
        if slot.second is not None:
            fault = fault.within(FAULTS[slot.second.name])
        happened = Happened(slot, fault, scene.place.name, at=time.time())
        self.history.faults.append(happened)
        with FAULTS[slot.name].act(scene):
            self._last(slot)
        happened.healed = time.time()
        self.oracle.settle(happened, CONVERGED_WITHIN)
        say(happened.line(self.history.zero))

    def _last(self, slot: Slot) -> None:
        """The time of a fault, and what happens within it."""
        until = time.time() + slot.length
        if slot.second is not None:
            self._look_until(time.time() + slot.second.at)
            with FAULTS[slot.second.name].act(self._scene(slot.second)):
                self._last(slot.second)
        self._look_until(until)

    def _scene(self, slot: Slot) -> Scene:
        dice = random.Random(slot.key)  # noqa: S311 -- not a secret
        index = dice.randrange(len(self.world.places))
        return Scene(self.world, self.world.places[index], index, dice=dice, length=slot.length)

    def end(self) -> None:
        """All is healed: the books must be right."""
        self._look_until(time.time() + 3.0)
        said = self.oracle.close_the_books()
        if problems := self.oracle.vitals.problems():
            raise Violation("; ".join(problems))
        say("\n" + self.history.table() + "\n")
        batches = ", ".join(f"{len(place.starts)} in {place.name}" for place in self.world.places)
        say(f"batches: {batches}; {said}\n{self.oracle.vitals.words()}")

    def report(self, violation: Exception) -> None:
        """Say what was wrong, when, and after which faults."""
        now = time.time()
        say(f"\nVIOLATION at {now - self.history.zero:.1f} s (wall {now:.2f}): {violation}")
        say(f"faults before it:\n{self.history.around()}")

    def _look_until(self, moment: float) -> None:
        while time.time() < moment:
            self.oracle.look()
            time.sleep(max(0.0, min(_LOOK, moment - time.time())))


def say(words: str) -> None:
    """A line for people, at once."""
    print(words, flush=True)
