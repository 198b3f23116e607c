"""A command under guard from its registration to its outcome: a fair start, its tries, what verifies them, its record.

What happens during one try is attempt.py's, whether there is another one retry.py's.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from types import FrameType

import psycopg

from guard.client import Aborted, GuardLost
from guard.client.migration import OnGuardLost
from guard.errors import ServerError
from guard.exec.attempt import Attempt, Ended
from guard.exec.child import Child, NotStarted, Task
from guard.exec.marks import environment, mark_of, remarks
from guard.exec.post import Connection, Post, words_of
from guard.exec.retry import Limits, Try, Verdict, judge
from guard.exec.sessions import Holder
from guard.exec.steering import OutOfTime, Stall, Steering, Stopped
from guard.exec.tools import Tool
from guard.exits import Exit
from guard.sql import get

_STEP = 0.5
"""Seconds between two looks while it waits."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be run, and how. Times in seconds."""

    name: str
    command: Sequence[str]
    conninfo: str = field(repr=False)
    given: Mapping[str, str] = field(repr=False)
    """The environment that the command is to have, but for the marks."""
    tool: Tool | None = None
    lock_timeout: float = 1.0
    tables: Sequence[str] = ()
    """Those that are to be free of other locks before a try, each as schema.table."""
    grace: float = 2.0
    """For a statement that is at work when a pause is ordered."""
    repeatable: bool = False
    verify: str = ""
    limits: Limits = field(default_factory=Limits)
    on_guard_lost: OnGuardLost = "wait"
    give_up_after: float = 900.0


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

        before = {each: signal.signal(each, hear) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


class Running:
    """One execution of a plan; *say* is told in words what happens."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self._plan, self._say = plan, say
        self._stop = Stopping()
        self._stall = Stall(plan.limits.stall)
        self._post = Post(plan.conninfo, mark_of(plan.name), self._steering)
        self._tries, self._paused = 0, 0.0
        self._root = ""

    def run(self) -> int:
        """See it through; the exit code.

        Raises Unreachable, WrongServer, NotInstalled, NotPermitted, AlreadyRunning, where it could not begin.
        """
        for words in remarks(self._plan.given, self._plan.name):
            self._say(words)
        with self._stop.heard():
            self._post.open()
            outcome, code, why = "failed", int(Exit.WORLD), "it ended in an error of its own"
            try:
                outcome, code, why = self._outcome()
            finally:
                self._post.close(outcome, why)
        self._close(outcome, code, why)
        return code

    def _outcome(self) -> tuple[str, int, str]:
        try:
            verdict = self._try_until_over()
        except Aborted as told:
            return "aborted", Exit.ABORTED, str(told)
        except (GuardLost, OutOfTime) as told:
            root = f"; it was held up by {self._root}" if self._root else ""
            return "failed", Exit.LATER, f"no more waiting after {self._stall.used:.0f} s: {told}{root}"
        except Stopped:
            number = self._stop.numbers[0]
            return "failed", 128 + number, f"told to end by {signal.Signals(number).name}"
        except NotStarted as told:
            return "failed", Exit.USAGE, f"could not be started: {told}"
        except (psycopg.Error, ServerError) as error:
            words = words_of(error) if isinstance(error, psycopg.Error) else str(error)
            return "failed", Exit.WORLD, f"its connection to PostgreSQL failed: {words}"
        return "done" if verdict.code == Exit.DONE else "failed", verdict.code, verdict.why

    def _try_until_over(self) -> Verdict:
        while True:
            history = self._history()
            self._wait_to_begin()
            self._tries += 1
            ended, tried = self._try(history)
            if ended.stopped is not None:
                raise Stopped
            if ended.aborted:
                raise Aborted(ended.aborted)
            verdict = self._judged(tried)
            if not verdict.again:
                return verdict
            if self._tries >= self._plan.limits.tries:
                return Verdict(
                    again=False, code=Exit.LATER, why=f"{self._tries} tries are used up; the last: {verdict.why}"
                )
            self._back_off(ended, verdict.why)

    # -- before a try --------------------------------------------------------------------------------------------------

    def _wait_to_begin(self) -> None:
        """Until the guard lets it begin and nobody holds its tables. Raises Aborted, GuardLost, OutOfTime, Stopped."""
        looks = 0
        while True:
            self._post.steering.checkpoint()
            holders = self._holders()
            if not holders:
                self._post.steering.checkpoint()
                return
            self._root = "; ".join(each.words for each in holders)
            looks += 1
            wait = self._plan.limits.wait(looks, random.random())  # noqa: S311
            self._say(f"waits {wait:.1f} s for its tables to be free: {self._root}")
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

    def _back_off(self, ended: Ended, why: str) -> None:
        limits = self._plan.limits
        wait = limits.wait(self._tries, random.random())  # noqa: S311
        blocker = ended.blocker
        self._root = blocker.words if blocker else self._root
        self._say(f"try {self._tries} of {limits.tries} did not get through: {why}; the next in {wait:.1f} s at most")
        # At once when the way is free would be a storm, where somebody holds the table again and again.
        least = min(wait, limits.wait(1, 0.0))
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

    # -- a try ---------------------------------------------------------------------------------------------------------

    def _try(self, history: str | None) -> tuple[Ended, Try]:
        plan, since = self._plan, self._post.sessions.now()
        self._say(f"begins try {self._tries}: {plan.command[0]}" if self._tries > 1 else f"begins: {plan.command[0]}")
        task = Task(
            plan.command,
            environment(plan.given, plan.name, plan.lock_timeout),
            plan.conninfo,
            mark_of(plan.name),
            get("exec_end_all"),
        )
        self._stall.run(on=False)
        try:
            with Child(task) as child:
                attempt = Attempt(self._post, child, grace=plan.grace, stop=self._stop, since=since, say=self._say)
                ended = attempt.see_through()
            code = child.code if child.code is not None else -signal.SIGKILL
        finally:
            self._stall.run(on=True)
        self._paused += ended.paused
        told = self._post.sessions.told(plan.name, since)
        moved = self._moved(history)
        return ended, Try(
            code=code,
            output=child.output,
            interrupted=ended.interrupted or (f"cancelled by the guard: {told}" if told else ""),
            lock_timeout=ended.blocker.words if ended.blocker else "",
            failure=plan.tool.failure(code, child.output) if plan.tool else "",
            history_moved=moved,
            committed=self._post.sessions.committed(ended.xids),
        )

    def _judged(self, tried: Try) -> Verdict:
        plan = self._plan
        shown = self._verified() if plan.verify and tried.code == 0 and not tried.interrupted else None
        tried = replace(tried, verified=shown == "")
        repeatable = plan.repeatable or (plan.tool is not None and plan.tool.repeatable)
        one = plan.tool is not None and plan.tool.one_transaction
        verdict = judge(tried, repeatable=repeatable, one_transaction=one)
        if verdict.code == Exit.DONE and not verdict.again and shown:
            return Verdict(again=False, code=Exit.UNVERIFIED, why=shown)
        return verdict

    def _verified(self) -> str:
        """Empty where the user's query says true; else why it is not shown."""
        try:
            value = self._post.ask(self._plan.verify)
        except (psycopg.Error, ServerError, ValueError) as error:
            words = words_of(error) if isinstance(error, psycopg.Error) else str(error)
            return f"the query of --verify failed: {words}"
        return "" if value is True else f"it ended well, but the query of --verify says {value!r}, not true"

    def _history(self) -> str | None:
        """The tool's own record of what is applied; None where there is none to read."""
        if self._plan.tool is None or not self._plan.tool.history:
            return None
        try:
            return str(self._post.ask(self._plan.tool.history))
        except (psycopg.Error, ServerError, ValueError):
            return None

    def _moved(self, before: str | None) -> bool | None:
        after = self._history()
        return None if before is None or after is None else before != after

    # -- the end -------------------------------------------------------------------------------------------------------

    def _close(self, outcome: str, code: int, why: str) -> None:
        tries = f"{self._tries} {'try' if self._tries == 1 else 'tries'}"
        paused = f", held for {self._paused:.1f} s" if self._paused else ""
        waited = f", waited {self._stall.used:.1f} s"
        self._say(
            f"{outcome} ({tries}{paused}{waited})" + (f": {why}" if why else "") + (f"; exit {code}" if code else "")
        )

    def _steering(self, connection: Connection) -> Steering:
        return Steering(
            connection,
            self._plan.name,
            stall=self._stall,
            stopping=self._stop.event,
            on_guard_lost=self._plan.on_guard_lost,
            give_up_after=self._plan.give_up_after,
            on_wait=self._say,
        )
