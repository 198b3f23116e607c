"""What the page and whoever scrapes may see of this daemon: values, taken from memory when they are asked for.

It decides nothing, asks no database and changes nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from guard.journal import Journal
from guard.model import Rule
from guard.show.sight import Channel, Poll, Progress, Seen, Standing
from guard.tally import Tally
from guard.tell.outbox import ChannelStatus, Outbox
from guard.watch import Watch

_CHANNELS_FOR = 1.0
"""Seconds for which the state of the channels is good: it is counted in a file, and many may ask."""


class DaemonSight:
    """Implements guard.show.sight.Sight for the guards of one daemon."""

    def __init__(
        self,
        watches: Sequence[Watch],
        outbox: Outbox,
        *,
        guard_id: str,
        lease: float,
        journal: Journal | None = None,
        refused: Callable[[], str] = str,
    ) -> None:
        """*refused*: why the last reload was, as of now."""
        self._watches = watches
        self._outbox = outbox
        self._guard_id = guard_id
        self._lease = lease
        self._journal, self._refused = journal, refused
        self._stepped = asyncio.Event()
        self._channels: tuple[Channel, ...] = ()
        self._channels_at = float("-inf")
        for watch in watches:
            watch.stepped = self._step_was_made

    def _step_was_made(self) -> None:
        # Whoever waits has the old one, and whoever comes the new: so nobody is woken twice, nor forgotten.
        stepped, self._stepped = self._stepped, asyncio.Event()
        stepped.set()

    async def changed(self) -> None:
        """See Sight.changed."""
        await self._stepped.wait()

    def look(self) -> tuple[Seen, ...]:
        """See Sight.look."""
        now, wall = time.monotonic(), time.time()
        return tuple(self._seen(watch, now, wall) for watch in self._watches)

    def channels(self) -> tuple[Channel, ...]:
        """See Sight.channels."""
        now = time.monotonic()
        if now - self._channels_at >= _CHANNELS_FOR:
            self._channels_at = now
            self._channels = tuple(_channel(name, status) for name, status in sorted(self._outbox.status.items()))
        return self._channels

    def _seen(self, watch: Watch, now: float, wall: float) -> Seen:
        guard = watch.guard
        beat = guard.publisher.last_beat
        return Seen(
            database=watch.name,
            guard_id=self._guard_id,
            mode="dead" if watch.ended_because else guard.mode,
            leading=guard.publisher.leading,
            trouble=guard.publisher.trouble,
            ended_because=watch.ended_because,
            judged_age=now - watch.judged,
            beat_age=None if beat is None else now - beat,
            lease=self._lease,
            report=guard.report(now, wall),
            polls=_polls(guard.tally, now, watch.began),
            decision_seconds=guard.tally.deciding.last,
            progress=_progress(watch),
            orders=_orders(watch),
            asked_age=now - max(watch.asked, watch.began) if watch.duties else 0.0,
            # As the watchdog of systemd has it: two rounds, at rest or while a server keeps silent.
            patience=2 * watch.pace.longest_round,
            limits=_limits(guard.board.rules),
            tally=guard.tally.copy(),
            journal_trouble=(self._journal.trouble if self._journal else None) or "",
            reload_refused=self._refused(),
        )


def _channel(name: str, status: ChannelStatus) -> Channel:
    oldest = status.backlog.oldest_wall
    age = None if oldest is None else max(0.0, time.time() - oldest)
    return Channel(name, status.backlog.waiting, status.backlog.dead, age, status.trouble or "")


def _polls(tally: Tally, now: float, began: float) -> Mapping[str, Poll]:
    return {
        name: Poll(
            visits.took.last, now - (began if visits.heard is None else visits.heard), visits.silences, visits.count
        )
        for name, visits in tally.visits.items()
    }


def _limits(rules: Sequence[Rule]) -> Mapping[str, Mapping[str, float]]:
    rungs = ("warn", "pause", "cancel", "rollback", "resume")
    return {
        rule.name: {
            rung: term.limit.value
            for rung in rungs
            if (condition := getattr(rule, rung)) is not None
            for term in condition.terms
            if term.limit.kind == "absolute"
        }
        for rule in rules
    }


def _progress(watch: Watch) -> Mapping[int, Progress]:
    roster = watch.guard.board.roster
    return {
        run.run_id: Progress(
            pid=run.session.pid if run.session else None,
            usename=run.session.usename if run.session else "",
            application_name=run.session.application_name if run.session else "",
            rows_done=run.rows_done,
            batches_done=run.batches_done,
            note=run.note,
            registered_wall=run.registered_wall,
            last_seen_wall=run.last_seen_wall,
        )
        for run in (roster.runs if roster else ())
    }


def _orders(watch: Watch) -> tuple[Standing, ...]:
    roster = watch.guard.board.roster
    return tuple(
        Standing(each.kind, each.migration, each.rule, each.owner, each.reason, each.created_wall, each.expires_wall)
        for each in (roster.operator_orders if roster else ())
    )
