"""Replication as the primary sees it: how far the expected standbys are behind, and how much WAL slots keep.

It asks no standby itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from guard import sql
from guard.errors import ServerError
from guard.model import Reading, Sample
from guard.poll.lag import BYTES, SECONDS, Lag, LagClock, ReplyClock, Sender, best, measure, named, samples
from guard.poll.samples import NOT_PERMITTED, silences, words
from guard.poll.slots import RETAINED, Slot, retained
from guard.ports import Observation
from guard.postgres import Door


@dataclass(frozen=True, slots=True)
class _Primary:
    in_recovery: bool
    permitted: bool
    lsn: int | None
    timeline: str | None
    senders: list[dict[str, Any]]
    slots: list[dict[str, Any]]


class ReplicationProbe:
    """Reads `replication.lag` (seconds), `replication.lag_bytes` and `replication.retained_bytes`.

    The lags are those of the slowest expected standby; retained is the most WAL that a slot of any consumer keeps.
    *standbys* are the application_names that must be streaming, or how many must be, of whatever name: then the
    slowest of that many best ones counts. Where none is expected both lags read 0, since that was said on purpose. A
    standby that is missing, frozen or of unknown position is a silence that names it, with the worst of the others.
    *reply_limit* is how long WAL may wait for a reply, *idle_reply_limit* how long a standby may be silent when there
    is none, both in seconds.
    """

    cheap = False

    def __init__(
        self,
        door: Door,
        standbys: tuple[str, ...] | int,
        *,
        reply_limit: float = 5.0,
        idle_reply_limit: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = "replication"
        self._door = door
        self._standbys = standbys
        self._now = clock
        self._clock = LagClock()
        self._replies = ReplyClock(reply_limit, idle_reply_limit)
        self._limits = (reply_limit, idle_reply_limit)

    async def poll(self) -> Observation:
        """One round trip."""
        asked = self._now()
        try:
            (primary,) = await self._door.fetch_as(_Primary, sql.get("poll_replication"))
        except ServerError as error:
            return self.silence(words(error), self._now())
        if primary.in_recovery or primary.lsn is None or primary.timeline is None:
            return self.silence("connected to a standby, which cannot tell how far others are behind", asked)
        if not primary.permitted:
            return self.silence(NOT_PERMITTED, asked)
        slots = retained([Slot(**row) for row in primary.slots], asked)
        if not self._standbys:
            return Observation((*self._none_expected(asked), slots))
        return Observation((*samples(self._lags(primary, primary.lsn, primary.timeline, asked), asked), slots))

    @staticmethod
    def _none_expected(now: float) -> tuple[Sample, Sample]:
        why = "no standbys are expected, on purpose"
        return Reading(SECONDS, 0.0, now, why), Reading(BYTES, 0.0, now, why)

    def _lags(self, primary: _Primary, lsn: int, timeline: str, now: float) -> list[Lag]:
        if not self._clock.advance(now, lsn, timeline):
            self._replies = ReplyClock(*self._limits)
        senders = [Sender(**row) for row in primary.senders]
        lags = [measure(sender, lsn, now, (self._clock, self._replies)) for sender in senders]
        self._replies.forget_others(sender.pid for sender in senders)
        return best(lags, self._standbys) if isinstance(self._standbys, int) else named(lags, self._standbys)

    def silence(self, why: str, now: float) -> Observation:
        """No sensor has a value, but a lag that is 0 on purpose."""
        if self._standbys:
            return silences((SECONDS, BYTES, RETAINED), why, now)
        return Observation((*self._none_expected(now), *silences((RETAINED,), why, now).samples))

    async def close(self) -> None:
        """Close the probe's connection."""
        await self._door.close()
