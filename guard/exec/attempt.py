"""One try of a command under guard: watches its sessions and the guard's orders, and ends its work when it has to.

On the server first, then the process: a tool that is only killed leaves its statement behind, which goes on waiting and
then commits. A try of which something was ended is over, whatever the tool makes of it: it would go on after a
statement that was not done. Whether there is another try is not decided here.
"""

from __future__ import annotations

import datetime as dt
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import psycopg

from guard.client.asking import Answer
from guard.exec.child import Child
from guard.exec.sessions import Blocker, Seen, Sessions, named
from guard.exec.steering import POLL, Steering

_SETTLES = 2.0
"""Seconds in which a cancelled statement must be seen to have ended, before its session is terminated."""
_LEAVES = 3.0
"""Seconds in which the command may end by itself after something of it was cancelled."""
_ENDS = 5.0
"""Seconds from TERM to KILL."""
_LOST = 10.0
"""Seconds without a connection after which the command is ended, as long as a guard's lease lasts."""
_REOPENED = 5.0
"""Seconds in which the guard may come to know the run again after a connection broke."""
_UNMARKED = 3.0
_GONE = 10.0


class Stop(Protocol):
    """Whether, and by which signals, somebody has told us to end."""

    numbers: list[int]


class Post(Protocol):
    """The connection to the database, and what stands on it."""

    @property
    def steering(self) -> Steering: ...
    @property
    def sessions(self) -> Sessions: ...
    def reopen(self) -> bool: ...


@dataclass(slots=True)
class Ended:
    """What was seen of a try, beside what the command itself says."""

    interrupted: str = ""
    """Why its work was ended; empty where it was not."""
    aborted: str = ""
    stopped: int | None = None
    """The signal that we were ended by."""
    blocker: Blocker | None = None
    """Whom its last statement waited for when it was last seen."""
    xids: set[int] = field(default_factory=set)
    paused: float = 0.0
    """Seconds in which it was held."""


class Attempt:
    """One try, from its start to the end of everything that belongs to it."""

    def __init__(
        self, post: Post, child: Child, *, grace: float, stop: Stop, since: dt.datetime, say: Callable[[str], None]
    ) -> None:
        self._post, self._child, self._grace, self._stop, self._say = post, child, grace, stop, say
        self._since = since
        self.result = Ended()
        self._held_since: float | None = None
        self._ending_since: float | None = None
        self._lost_since: float | None = None
        self._lenient_until = 0.0
        self._began = time.monotonic()
        self._marked = False
        self._said: set[str] = set()
        self._asked: dict[tuple[int, dt.datetime], tuple[Seen, float]] = {}
        self._signalled: list[int] = []
        self._hit = False
        """Something of it was ended indeed; what had moved on in time was not."""

    def see_through(self) -> Ended:
        """Watch until the command has ended, and until nothing of it is left on the server or here."""
        while not self._child.ended(POLL):
            try:
                self._step()
                self._lost_since = None
            except psycopg.Error as error:
                self._without_line(error)
        self._free(time.monotonic())
        self._clear_up()
        if not self._hit:
            self.result.interrupted = ""
        return self.result

    # -- what is ordered -----------------------------------------------------------------------------------------------

    def _step(self) -> None:
        answer, seen, now = self._post.steering.look(), self._post.sessions.look(), time.monotonic()
        self._note(seen, now)
        if self._stop.numbers:
            self.result.stopped = self._stop.numbers[0]
            self._interrupt(f"told to end by {signal.Signals(self._stop.numbers[0]).name}", seen, at_once=True)
        elif answer.kind == "abort":
            self.result.aborted = answer.because
            self._interrupt(f"aborted: {answer.because}", seen, at_once=True)
        elif self._ending_since is not None:
            self._interrupt(self.result.interrupted, seen)
        elif answer.kind == "proceed":
            self._free(now)
        else:
            self._hold(answer, seen, now)

    def _hold(self, answer: Answer, seen: Sequence[Seen], now: float) -> None:
        gentle = [each for each in seen if each.active and each.gentle]
        busy = [each for each in seen if each.busy and each not in gentle]
        if self._held_since is None:
            self._held_since = max(now, self._lenient_until)
            what = named(seen) if busy or gentle else "nothing of it is in flight"
            self._say(f"told to wait: {answer.because}; {what}")
        for each in gentle:
            self._once(f"{each.gentle} of session {each.pid} is let finish")
        if not busy and not gentle:
            if "unmarked" not in self._said:  # of what is not seen nobody can say that it rests
                self._post.steering.settled(answer)
        elif busy and now - self._held_since >= self._grace:
            self._interrupt(f"the guard says {answer.kind}: {answer.because}", busy)

    def _free(self, now: float) -> None:
        if self._held_since is not None:
            held = max(0.0, now - self._held_since)
            self.result.paused += held
            self._held_since = None
            if self._ending_since is None:
                self._say(f"may go on after {held:.1f} s")

    # -- ending --------------------------------------------------------------------------------------------------------

    def _interrupt(self, why: str, seen: Sequence[Seen], *, at_once: bool = False) -> None:
        now = time.monotonic()
        busy = [each for each in seen if each.busy]
        if self._ending_since is None:
            self._ending_since, self.result.interrupted = now, why
            self._say(f"ends this try, since {why}" + (f": {named(busy)}" if busy else ""))
        for each in busy:
            self._end_session(each, now)
        waited = now - self._ending_since
        leaves = 0.0 if at_once and not busy else _LEAVES
        if len(self._stop.numbers) > 1:
            self._signal(signal.SIGKILL)
        elif waited >= leaves:
            self._signal(self._stop.numbers[0] if self._stop.numbers else signal.SIGTERM)
        if waited >= leaves + _ENDS:
            self._signal(signal.SIGKILL)

    def _end_session(self, seen: Seen, now: float) -> None:
        """Cancel once; terminate what does not end, goes on to another statement, or has none to cancel."""
        asked = self._asked.get(seen.identity)
        if asked is None and seen.active:
            self._asked[seen.identity] = (seen, now)
            if self._post.sessions.cancel(seen):
                self._hit = True
                self._say(f"cancelled session {seen.pid}")
            return
        moved_on = asked is None or asked[0].query_start != seen.query_start
        if (moved_on or (asked and now - asked[1] >= _SETTLES)) and self._post.sessions.terminate(seen):
            self._hit = True
            self._say(f"terminated session {seen.pid} ({seen.state})")

    def _signal(self, number: int) -> None:
        if number not in self._signalled:
            self._signalled.append(number)
            self._hit = True
            self._child.signal(number)

    def _without_line(self, error: psycopg.Error) -> None:
        """The way to the database is broken: have it back soon, or end the command, which nobody can hold now."""
        now = time.monotonic()
        if self._lost_since is None:
            self._lost_since = now
            self._say(f"lost its connection to PostgreSQL: {error.diag.message_primary or type(error).__name__}")
        if self._stop.numbers or now - self._lost_since >= _LOST:
            self.result.stopped = self._stop.numbers[0] if self._stop.numbers else None
            self._interrupt("it had no connection to PostgreSQL, and so no guard", ())
        if self._post.reopen():
            self._say("is connected again")
            self._lenient_until = time.monotonic() + _REOPENED

    def _clear_up(self) -> None:
        """Nothing may be left: a statement of a tool that has ended would go on, and commit."""
        end = time.monotonic() + _GONE
        try:
            self._end_orphans()
            self._end_processes()
            while (left := self._post.sessions.look()) and time.monotonic() < end:
                for each in left:
                    if each.busy or time.monotonic() > end - _GONE + 1.0:
                        self._post.sessions.terminate(each)
                        self._spoil(f"its {each.words} was ended", hit=each.busy)
                time.sleep(0.05)
            if left:
                self._spoil(f"what it does on the server could not be ended: {named(left)}")
                self._say(self.result.interrupted)
        except psycopg.Error:  # what it left there is ended when the outcome is asked for
            self._end_processes()

    def _end_orphans(self) -> None:
        busy = [each for each in self._post.sessions.look() if each.busy]
        # One that is closing its connection is given a moment.
        if busy and self.result.interrupted == "":
            time.sleep(POLL)
            busy = [each for each in self._post.sessions.look() if each.busy]
        for each in busy:
            self.result.xids |= {each.xid} if each.xid is not None else set()
            if self._post.sessions.terminate(each):
                left = f"the command ended and left {each.words}"
                self._say(f"{left}: terminated")
                self._spoil(left)

    def _end_processes(self) -> None:
        if killed := self._child.end(1.0):
            self._say(f"processes that did not end by themselves were killed: {', '.join(map(str, killed))}")

    def _spoil(self, why: str, *, hit: bool = True) -> None:
        """It cannot count as done; the first reason stays."""
        if hit:
            self._hit = True
            self.result.interrupted = self.result.interrupted or why

    # -- what is seen --------------------------------------------------------------------------------------------------

    def _note(self, seen: Sequence[Seen], now: float) -> None:
        self._marked = self._marked or bool(seen)
        self.result.xids |= {each.xid for each in seen if each.xid is not None}
        active = [each for each in seen if each.active]
        queued = [each for each in active if each.queued]
        if queued and (blocker := self._post.sessions.blocker(queued[0])) is not None:
            self.result.blocker = blocker
            self._once(f"waits for a lock: {blocker.words}")
        elif active and not queued:
            self.result.blocker = None
        if not self._marked and now - self._began >= _UNMARKED and "unmarked" not in self._said:
            self._look_for_unmarked()

    def _look_for_unmarked(self) -> None:
        count, names = self._post.sessions.unmarked(self._since)
        if count:
            self._said.add("unmarked")
            self._say(
                f"NOT SEEN: no session bears the name that the command was given, but {count} of its role began since: "
                f"{names}. It can neither be held nor cancelled by this. Have its URL say application_name, or let its "
                "driver read PGAPPNAME; and alter role ... set lock_timeout"
            )

    def _once(self, words: str) -> None:
        if words not in self._said:
            self._said.add(words)
            self._say(words)
