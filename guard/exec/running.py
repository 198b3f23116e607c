"""A command under guard from its registration to its outcome: a fair start, its tries, what verifies them, its record.

What happens during one try is attempt.py's, whether there is another one retry.py's.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg

from guard.client import Aborted, GuardLost
from guard.errors import ServerError
from guard.exec.attempt import Attempt, Ended
from guard.exec.child import Child, NotStarted, Task
from guard.exec.marks import environment, mark_of, remarks
from guard.exec.plan import Plan
from guard.exec.post import Connection, Post, words_of
from guard.exec.retry import Try, Verdict, judge
from guard.exec.steering import OutOfTime, Stall, Steering, Stopped
from guard.exec.waiting import Stopping, Waiting
from guard.exits import Exit
from guard.sql import get

_ASKED = 60.0
"""Seconds for which a database that does not answer is asked what came of a try."""


class Running:
    """One execution of a plan; *say* is told in words what happens."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self._plan, self._say = plan, say
        self._stop = Stopping()
        self._stall = Stall(plan.limits.stall)
        self._post = Post(plan.conninfo, mark_of(plan.name), self._steering)
        self._tries, self._paused = 0, 0.0
        self._code: int | None = None
        self._left_before: list[str] = []
        self._waiting = Waiting(plan, self._post, stop=self._stop, stall=self._stall, say=say)

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
            root = f"; it was held up by {self._waiting.root}" if self._waiting.root else ""
            return "failed", Exit.LATER, f"no more waiting after {self._stall.used:.0f} s: {told}{root}"
        except Stopped as told:
            number = self._stop.numbers[0]
            return "failed", 128 + number, f"told to end by {signal.Signals(number).name}{told}"
        except NotStarted as told:
            return "failed", Exit.USAGE, f"could not be started: {told}"
        except (psycopg.Error, ServerError) as error:
            words = words_of(error) if isinstance(error, psycopg.Error) else str(error)
            ended = "" if self._code is None else f"; the command itself had ended with exit code {self._code}"
            return "failed", Exit.WORLD, f"its connection to PostgreSQL failed: {words}{ended}"
        return "done" if verdict.code == Exit.DONE else "failed", verdict.code, verdict.why

    def _try_until_over(self) -> Verdict:
        self._left_before = self._post.sessions.leftovers()
        for words in self._left_before:
            self._say(f"is there already: {words}")
        for table in self._post.sessions.missing(self._plan.tables):
            self._say(f"there is no table {table}, so nobody is waited for who holds it")
        self._waiting.end_orphans()
        while True:
            history = self._history()
            self._waiting.to_begin()
            self._tries += 1
            ended, tried = self._try(history)
            if ended.stopped is not None:
                raise Stopped(self._left_at_the_end())
            if ended.aborted:
                raise Aborted(f"{ended.aborted}{self._left_at_the_end()}")
            verdict = self._nothing_left(self._judged(tried))
            if not verdict.again:
                return verdict
            if self._tries >= self._plan.limits.tries:
                return Verdict(
                    again=False, code=Exit.LATER, why=f"{self._tries} tries are used up; the last: {verdict.why}"
                )
            self._waiting.back_off(self._tries, ended.blocker, verdict.why)

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
        self._post.steering.progress(note=f"try {self._tries} of {plan.limits.tries}: {Path(plan.command[0]).name}")
        self._stall.run(on=False)
        try:
            with Child(task) as child:
                attempt = Attempt(self._post, child, grace=plan.grace, stop=self._stop, since=since, say=self._say)
                ended = attempt.see_through()
            code = child.code if child.code is not None else -signal.SIGKILL
        finally:
            self._stall.run(on=True)
        self._paused += ended.paused
        self._code = code
        tried = Try(
            code=code,
            output=child.output,
            interrupted=ended.interrupted,
            lock_timeout=ended.blocker.words if ended.blocker else "",
            failure=plan.tool.failure(code, child.output) if plan.tool else "",
        )
        return ended, self._post.surviving(lambda: self._seen(tried, ended, since, history), within=_ASKED)

    def _seen(self, tried: Try, ended: Ended, since: dt.datetime, history: str | None) -> Try:
        """What the database says of a try that is over."""
        # None, but where the connection broke in the moment in which they were to be ended.
        left = self._post.sessions.end_all()
        told = self._post.sessions.told(self._plan.name, since)
        why = f"cancelled by the guard: {told}" if told else f"ended {left} sessions that it had left" if left else ""
        return replace(
            tried,
            interrupted=tried.interrupted or why,
            history_moved=self._moved(history),
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

    def _nothing_left(self, verdict: Verdict) -> Verdict:
        """What a cancelled statement leaves behind, such as an invalid index, a second try may take for the whole."""
        if not (left := self._left()):
            return verdict
        self._say(f"left behind: {left}")
        if verdict.code == Exit.DONE and not verdict.again:
            return Verdict(
                again=False, code=Exit.UNVERIFIED, why=f"it ended well, but over what was left behind: {left}"
            )
        return replace(verdict, why=f"{verdict.why}; left behind: {left}")

    def _left(self) -> str:
        return "; ".join(each for each in self._post.sessions.leftovers() if each not in self._left_before)

    def _left_at_the_end(self) -> str:
        """To be added to the reason of an end that was ordered; empty where nothing is left, or cannot be seen."""
        with contextlib.suppress(psycopg.Error):
            if left := self._left():
                return f"; left behind: {left}"
        return ""

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
