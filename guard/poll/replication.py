"""Replication: how far the expected standbys are behind by what the primary sees, and how much WAL its slots keep.

Standbys that it does not see are asked themselves where they may be.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from guard import sql
from guard.errors import ServerError
from guard.model import Reading, Rule, Sample, Silence
from guard.model.metric import Labels, labelled
from guard.poll.aside import Aside
from guard.poll.lag import BYTES, FLUSH, REPLY_AGE, SECONDS, WRITE, LagClock, ReplyClock, Sender
from guard.poll.samples import NOT_PERMITTED, silences, words
from guard.poll.slots import INACTIVE, RETAINED, SAFE, IdleClock, Slot, inactive, retained, safe
from guard.poll.standbys import OF_A_STANDBY, Standbys, none_expected
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
    sync_waiters: int | None
    system: int | None


STANDBYS, SYNC_WAITERS = "replication.standbys", "replication.sync_waiters"
FURTHER = frozenset({STANDBYS, SYNC_WAITERS, SAFE, INACTIVE, WRITE, FLUSH, REPLY_AGE})
"""Metrics that are told only where some rule uses them."""
_OF_SLOTS = {RETAINED: retained, SAFE: safe, INACTIVE: inactive}


class ReplicationProbe:
    """Reads `replication.lag` (seconds), `replication.lag_bytes` and `replication.retained_bytes`.

    The lags are those of the slowest expected standby; retained is the most WAL that a slot of any consumer keeps.
    *standbys* are the application_names that must be streaming, or how many must be, of whatever name: then the
    slowest of that many best ones counts. Where none is expected both lags read 0, since that was said on purpose. A
    standby that is missing, frozen or of unknown position is a silence that names it, with the worst of the others.
    *aside*: standbys that are asked themselves; what they say counts where the primary does not show them.
    Of FURTHER it tells what stands in *metrics*, and of *selected* each series: a standby, expected or not, or a slot.
    *reply_limit* is how long WAL may wait for a reply, *idle_reply_limit* how long a standby may be silent when there
    is none, both in seconds.
    """

    cheap = False

    def __init__(
        self,
        door: Door,
        standbys: tuple[str, ...] | int,
        *,
        metrics: Collection[str] = (),
        selected: Collection[tuple[str, Labels]] = (),
        aside: Aside | None = None,
        reply_limit: float = 5.0,
        idle_reply_limit: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = "replication"
        self._door = door
        self._standbys = standbys
        self._further = sorted(FURTHER & set(metrics))
        self._selected = sorted(selected)
        self._aside = aside or Aside({})
        self._now = clock
        self._clock = LagClock()
        self._replies = ReplyClock(reply_limit, idle_reply_limit)
        self._idle = IdleClock()
        self._limits = (reply_limit, idle_reply_limit)

    @property
    def _params(self) -> dict[str, bool]:
        return {"waiters": SYNC_WAITERS in self._further, "identity": bool(self._aside)}

    async def poll(self) -> Observation:
        """One round trip to the primary, and beside it one to each standby that is asked itself."""
        asked = self._now()
        self._aside.begin()
        try:
            (primary,) = await self._door.fetch_as(_Primary, sql.get("poll_replication"), self._params)
        except ServerError as error:
            return self.silence(words(error), self._now())
        if primary.in_recovery or primary.lsn is None or primary.timeline is None:
            return self.silence("connected to a standby, which cannot tell how far others are behind", asked)
        if not primary.permitted:
            return self.silence(NOT_PERMITTED, asked)
        standbys = self._standbys_of(primary, primary.lsn, primary.timeline, asked)
        standbys = replace(standbys, aside=await self._aside.answers())
        slots = self._idle.told([Slot(**row) for row in primary.slots], asked)
        return Observation(
            (
                *(standbys.worst(metric, self._standbys) for metric in (SECONDS, BYTES)),
                retained(slots, asked),
                *(self._told(name, primary, standbys, slots) for name in self._further),
                *(_series(each, standbys, slots) for each in self._selected),
            )
        )

    def _standbys_of(self, primary: _Primary, lsn: int, timeline: str, now: float) -> Standbys:
        if not self._clock.advance(now, lsn, timeline):
            self._replies, self._idle = ReplyClock(*self._limits), IdleClock()
        senders = [Sender(**row) for row in primary.senders]
        self._replies.forget_others(sender.pid for sender in senders)
        home = (primary.system or 0, int(timeline, 16))
        return Standbys(senders, lsn, now, (self._clock, self._replies), home)

    def _told(self, name: str, primary: _Primary, standbys: Standbys, slots: Sequence[Slot]) -> Sample:
        now = standbys.taken_at
        if name in OF_A_STANDBY:
            return standbys.worst(name, self._standbys)
        if name in _OF_SLOTS:
            return _OF_SLOTS[name](slots, now)
        if name == SYNC_WAITERS:
            return Reading(name, float(primary.sync_waiters or 0), now)
        return Reading(name, float(len(standbys.streaming)), now, ", ".join(standbys.streaming))

    def silence(self, why: str, now: float) -> Observation:
        """No sensor has a value, but a lag that is 0 on purpose."""
        names = (SECONDS, BYTES, RETAINED, *self._further)
        on_purpose = [name for name in names if name in OF_A_STANDBY and not self._standbys]
        unknown = (*(name for name in names if name not in on_purpose), *(labelled(*each) for each in self._selected))
        said = [none_expected(name, now) for name in on_purpose]
        return Observation((*said, *silences(unknown, why, now).samples))

    async def close(self) -> None:
        """Close the probe's connections."""
        await self._aside.close()
        await self._door.close()


def _series(selected: tuple[str, Labels], standbys: Standbys, slots: Sequence[Slot]) -> Sample:
    """One standby or one slot; that it is not there is a silence and never the best of values."""
    metric, sensor, wanted = selected[0], labelled(*selected), dict(selected[1])
    if metric in OF_A_STANDBY:
        return standbys.one(metric, wanted["standby"], sensor)
    mine = [slot for slot in slots if slot.name == wanted["slot"]]
    if not mine:
        return Silence(sensor, f"there is no slot {wanted['slot']}", standbys.taken_at)
    return replace(_OF_SLOTS[metric](mine, standbys.taken_at), sensor=sensor)


def replication_probe(
    door: Door, standbys: tuple[str, ...] | int, rules: Iterable[Rule], aside: Mapping[str, Callable[[], Door]]
) -> ReplicationProbe:
    """The probe of what these *rules* use; the standbys *aside* are asked themselves. Nothing is connected yet."""
    mine = [rule for rule in rules if rule.metric.startswith("replication.")]
    selected = {(rule.metric, rule.select) for rule in mine if rule.select}
    metrics = {rule.metric for rule in mine if not rule.select}
    return ReplicationProbe(door, standbys, metrics=metrics, selected=selected, aside=Aside(aside))
