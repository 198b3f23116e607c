"""Waits before a command is tried: for the guard, for whoever holds its tables, and between two tries.

All of it is bounded, ends at a signal, and leaves the run alive to the guard. It starts nothing.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import FrameType

from guard.client import Aborted
from guard.exec.plan import Plan
from guard.exec.post import Post
from guard.exec.sessions import Blocker, Holder
from guard.exec.steering import OutOfTime, Stall, Stopped

_STEP = 0.5
"""Seconds between two looks."""


@dataclass(slots=True)
class Stopping:
    """The signals that told us to end."""

    numbers: list[int] = field(default_factory=list)
    event: threading.Event = field(default_factory=threading.Event)

    def wait(self, seconds: float) -> None:
        """Raises Stopped as soon as there is one."""
        if self.event.wait(max(0.0, seconds)):
            raise Stopped

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Listen for them."""

        def hear(number: int, _: FrameType | None) -> None:
            self.numbers.append(number)
            self.event.set()

        before = {each: signal.signal(each, hear) for each in (signal.SIGINT, signal.SIGTERM)}
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup means it
            before[signal.SIGHUP] = signal.signal(signal.SIGHUP, hear)
        # Ctrl-Z: who is stopped cannot hold the command, which would go on.
        before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, lambda *_: None)
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


class Waiting:
    """The waits of one plan; *say* is told in words for what."""

    def __init__(self, plan: Plan, post: Post, *, stop: Stopping, stall: Stall, say: Callable[[str], None]) -> None:
        self._plan, self._post, self._stop, self._stall, self._say = plan, post, stop, stall, say
        self.root = ""
        """Who was in the way last."""

    def to_begin(self) -> None:
        """Until the guard lets it begin and nobody holds its tables. Raises Aborted, GuardLost, OutOfTime, Stopped."""
        self._surviving(self._to_begin)

    def end_orphans(self) -> None:
        """End what an earlier run left on the server: its statement would go on beside ours. Raises psycopg.Error.

        There is no other run of this name, or ours would not have been let to register.
        """
        for seen in self._post.sessions.look():
            self._say(f"left by an earlier run: {seen.words}: terminated")
            self._post.sessions.terminate(seen)

    def _to_begin(self) -> None:
        looks = 0
        while True:
            self._post.steering.checkpoint()
            holders = self._holders()
            if not holders:
                self._post.steering.checkpoint()
                return
            self.root = "; ".join(each.words for each in holders)
            looks += 1
            wait = self._plan.limits.wait(looks, random.random())  # noqa: S311
            self._say(f"waits up to {wait:.1f} s for its tables to be free: {self.root}")
            self._post.steering.progress(note=f"waits: {self.root}")
            self._wait(wait, until=partial(self._let_go, holders))

    def _holders(self) -> list[Holder]:
        """Who holds a lock on the tables for longer than our own wait for one would last."""
        if not self._plan.tables:
            return []
        first = {each.transaction for each in self._post.sessions.holders(self._plan.tables)}
        if not first:
            return []
        self._stop.wait(self._plan.lock_timeout)
        return [each for each in self._post.sessions.holders(self._plan.tables) if each.transaction in first]

    def _let_go(self, holders: Sequence[Holder]) -> bool:
        waited_for = {each.transaction for each in holders}
        return not any(each.transaction in waited_for for each in self._post.sessions.holders(self._plan.tables))

    def back_off(self, tries: int, blocker: Blocker | None, why: str) -> None:
        limits = self._plan.limits
        wait = limits.wait(tries, random.random())  # noqa: S311
        self.root = blocker.words if blocker else self.root
        self._post.steering.progress(note=f"waits for the next try: {self.root}".removesuffix(": "))
        self._say(f"try {tries} of {limits.tries} did not get through: {why}; the next in {wait:.1f} s at most")
        self._surviving(lambda: self._until_again(wait, blocker))

    def _surviving(self, work: Callable[[], None]) -> None:
        """A server that is restarted, or fails over, is waited for as long as for anything else."""
        self._post.surviving(work, within=self._stall.left, wait=self._stop.wait)

    def _until_again(self, wait: float, blocker: Blocker | None) -> None:
        # At once when the way is free would be a storm, where somebody holds the table again and again.
        least = min(wait, self._plan.limits.wait(1, 0.0))
        self._wait(least)
        if blocker is not None:
            self._wait(wait - least, until=lambda: self._post.sessions.over(blocker))
        else:
            self._wait(wait - least)

    def _wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Raises Stopped, Aborted, OutOfTime; the guard is told that we live."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not until():
            answer = self._post.steering.look()
            if answer.kind == "abort":
                raise Aborted(answer.because)
            if answer.kind != "proceed":
                self._post.steering.settled(answer)
            if self._stall.left <= 0:
                raise OutOfTime("between two tries")
            self._stop.wait(min(_STEP, left))
