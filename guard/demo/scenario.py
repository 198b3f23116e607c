"""The three faults, one after another, on a running backfill; each waits for what the guard makes of it.

It notes when it did what. Whether the guard did right is for the verdict: here a missing answer only ends the waiting.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from guard.demo.child import Child
from guard.demo.diary import read_diary
from guard.demo.evidence import Event, Staged, events_of
from guard.demo.waiting import wait_for
from guard.demo.world import World

FAULTS = ("lag", "locks", "errors")
Say = Callable[[str], None]
_PATIENCE = 20.0
"""Seconds that each answer of the guard is waited for; it should take a few."""
_WAITERS = """
select count(*),
       count(*) filter (where clock_timestamp() - l.waitstart >= interval '1 s')
  from pg_locks l join pg_stat_activity a using (pid)
 where not l.granted and a.usename = 'app'
"""


class Scenario:
    """Plays the faults but those in *without*."""

    def __init__(self, world: World, say: Say, *, without: Collection[str] = ()) -> None:
        self.staged = Staged()
        self._world, self._say, self._without = world, say, without

    def play(self) -> None:
        """From the start of the backfill to its end."""
        backfill = self._world.start_backfill()
        self._say("The backfill starts: 200,000 orders, in batches of 200, through guard.client.")
        self._run_on(seconds=2.0, within=30)
        for fault, act in (("lag", self._lag), ("locks", self._locks), ("errors", self._errors)):
            if fault in self._without:
                self._say(f"(no {fault} this time)")
            else:
                act()
        if "errors" in self._without:
            self._run_on(seconds=1.0, within=10)
            backfill.stop()
        backfill.wait(_PATIENCE)
        self._settle()

    # -- the standby stops replaying -----------------------------------------------------------------------------------

    def _lag(self) -> None:
        self._say("FAULT 1: the standby stops replaying.")
        self.staged.replay_stopped = time.time()
        self._world.cluster.lag_on()
        paused = self._await_event("paused", self.staged.replay_stopped)
        if paused:
            self._say(f"Paused: {paused.because}")
            self._steadily(1.5)
        self.staged.replay_resumed = time.time()
        self._world.cluster.lag_off()
        self._say("The standby replays again and catches up.")
        if self._await_event("resumed", self.staged.replay_resumed):
            self._say("Resumed.")
            self._run_on(seconds=1.5, within=_PATIENCE)

    # -- a queue behind an ALTER TABLE ---------------------------------------------------------------------------------

    def _locks(self) -> None:
        self._say("FAULT 2: a report of the shop idles in its transaction, and an ALTER TABLE queues behind it.")
        with self._world.connect("app", "shop: report") as report:
            report.execute("begin")
            report.execute("select count(*) from orders where id <= 10")
            alter = self._world.start_alter()
            self._watch_queue(alter)
            report.execute("select count(*) from orders where id <= 10")
            report.execute("commit")
            self.staged.report_survived = True
        alter.wait(_PATIENCE)
        if self._await_event("resumed", self.staged.alter_queued or time.time()):
            self._say("Resumed.")
        try:
            wait_for(self._others_are_done, within=_PATIENCE, every=0.1)
        except TimeoutError:
            self._say("The guard still counts the other migration as at work.")
        self._run_on(seconds=1.5, within=_PATIENCE)

    def _watch_queue(self, alter: Child) -> None:
        until = time.monotonic() + _PATIENCE
        with self._world.connect("postgres") as admin:
            while time.monotonic() < until:
                queued, long_queued = admin.execute(_WAITERS).fetchone() or (0, 0)
                now = time.time()
                if queued and self.staged.alter_queued is None:
                    self.staged.alter_queued = now
                    self._say("The shop's requests queue behind the ALTER TABLE.")
                if long_queued >= 3 and self.staged.pile_up is None:
                    self.staged.pile_up = now
                self.staged.most_queued = max(self.staged.most_queued, queued)
                if self.staged.alter_queued and not queued and not alter.running:
                    self.staged.released = now
                    self._say("The ALTER TABLE was cancelled; the queue is released.")
                    return
                time.sleep(0.02)

    def _others_are_done(self) -> bool:
        others = [event for event in events_of(self._world) if event.migration == "*"]
        return not others or others[-1].phase == "done"

    # -- errors --------------------------------------------------------------------------------------------------------

    def _errors(self) -> None:
        self._say("FAULT 3: the shop turns its new pricing on, which cannot read what the backfill wrote.")
        self.staged.flag_on = time.time()
        self._world.flag.touch()
        rolled_back = self._await_event("rolled_back", self.staged.flag_on)
        if rolled_back is None:
            return
        self._say(f"The rollback hook has run, because of this: {rolled_back.because}")
        try:
            wait_for(lambda: self._world.shop_health()["error_rate"] == 0, within=_PATIENCE, every=0.1)
        except TimeoutError:
            return
        self.staged.shop_well = time.time()
        self._say("The shop serves without errors again.")

    # -- waiting -------------------------------------------------------------------------------------------------------

    def _await_event(self, kind: str, since: float) -> Event | None:
        """The first event of *kind* about the backfill after *since*; None: it did not come."""

        def found() -> list[Event]:
            return [e for e in events_of(self._world) if e.kind == kind and e.migration != "*" and e.at > since]

        try:
            return wait_for(found, within=_PATIENCE, every=0.1)[0]
        except TimeoutError:
            self._say(f"Nothing: the guard did not say {kind!r} within {_PATIENCE:g} s.")
            return None

    def _run_on(self, *, seconds: float, within: float) -> None:
        """Let the backfill commit batches for a while."""
        wanted = self._batches() + int(seconds / 0.06)
        try:
            wait_for(lambda: self._batches() >= wanted, within=within, every=0.1)
        except TimeoutError:
            self._say("The backfill does not move.")

    def _batches(self) -> int:
        return sum(entry["what"] == "batch committed" for entry in read_diary(self._world.diary))

    def _steadily(self, seconds: float) -> None:
        """Hold the fault on for so long, to see that the pause holds."""
        time.sleep(seconds)

    def _settle(self) -> None:
        """Wait until every notice of the event table has arrived at Slack's server."""

        def arrived() -> bool:
            told = {event.notice_id for event in events_of(self._world) if event.notice_id}
            return told <= {message.notice_id for message in self._world.slack.messages}

        try:
            wait_for(arrived, within=15, every=0.1)
        except TimeoutError:
            self._say("Some messages have not arrived.")
