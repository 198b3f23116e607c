"""Replication as the primary sees it: how far the expected standbys are behind, and how much WAL slots keep.

It asks no standby itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from guard import sql
from guard.errors import ServerError
from guard.model import Reading, Rule, Sample, Silence
from guard.model.metric import Labels, labelled
from guard.poll.lag import (
    BYTES,
    SECONDS,
    Lag,
    LagClock,
    ReplyClock,
    Sender,
    best,
    in_bytes,
    in_seconds,
    measure,
    named,
    samples,
)
from guard.poll.samples import NOT_PERMITTED, silences, words
from guard.poll.slots import INACTIVE, RETAINED, SAFE, Slot, inactive, retained, safe
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


STANDBYS, SYNC_WAITERS = "replication.standbys", "replication.sync_waiters"
FURTHER = frozenset({STANDBYS, SYNC_WAITERS, SAFE, INACTIVE})
"""Metrics that are told only where some rule uses them."""
_OF_A_STANDBY = {SECONDS: in_seconds, BYTES: in_bytes}
_OF_SLOTS = {RETAINED: retained, SAFE: safe, INACTIVE: inactive}


class ReplicationProbe:
    """Reads `replication.lag` (seconds), `replication.lag_bytes` and `replication.retained_bytes`.

    The lags are those of the slowest expected standby; retained is the most WAL that a slot of any consumer keeps.
    *standbys* are the application_names that must be streaming, or how many must be, of whatever name: then the
    slowest of that many best ones counts. Where none is expected both lags read 0, since that was said on purpose. A
    standby that is missing, frozen or of unknown position is a silence that names it, with the worst of the others.
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
        reply_limit: float = 5.0,
        idle_reply_limit: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = "replication"
        self._door = door
        self._standbys = standbys
        self._further = sorted(FURTHER & set(metrics))
        self._selected = sorted(selected)
        self._now = clock
        self._clock = LagClock()
        self._replies = ReplyClock(reply_limit, idle_reply_limit)
        self._limits = (reply_limit, idle_reply_limit)

    @property
    def _params(self) -> dict[str, bool]:
        return {"waiters": SYNC_WAITERS in self._further}

    async def poll(self) -> Observation:
        """One round trip."""
        asked = self._now()
        try:
            (primary,) = await self._door.fetch_as(_Primary, sql.get("poll_replication"), self._params)
        except ServerError as error:
            return self.silence(words(error), self._now())
        if primary.in_recovery or primary.lsn is None or primary.timeline is None:
            return self.silence("connected to a standby, which cannot tell how far others are behind", asked)
        if not primary.permitted:
            return self.silence(NOT_PERMITTED, asked)
        slots = [Slot(**row) for row in primary.slots]
        lags = self._lags(primary, primary.lsn, primary.timeline, asked)
        return Observation(
            (
                *(samples(self._expected(lags), asked) if self._standbys else self._none_expected(asked)),
                retained(slots, asked),
                *(_further(name, primary, slots, asked) for name in self._further),
                *(_series(each, lags, slots, asked) for each in self._selected),
            )
        )

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
        return lags

    def _expected(self, lags: Sequence[Lag]) -> list[Lag]:
        return best(lags, self._standbys) if isinstance(self._standbys, int) else named(lags, self._standbys)

    def silence(self, why: str, now: float) -> Observation:
        """No sensor has a value, but a lag that is 0 on purpose."""
        rest = (RETAINED, *self._further, *(labelled(*each) for each in self._selected))
        if self._standbys:
            return silences((SECONDS, BYTES, *rest), why, now)
        return Observation((*self._none_expected(now), *silences(rest, why, now).samples))

    async def close(self) -> None:
        """Close the probe's connection."""
        await self._door.close()


def _further(name: str, primary: _Primary, slots: Sequence[Slot], now: float) -> Sample:
    if name in _OF_SLOTS:
        return _OF_SLOTS[name](slots, now)
    if name == SYNC_WAITERS:
        return Reading(name, float(primary.sync_waiters or 0), now)
    streaming = sorted(row["name"] for row in primary.senders if row["state"] == "streaming" and row["replay_lsn"])
    return Reading(name, float(len(streaming)), now, ", ".join(streaming))


def _series(selected: tuple[str, Labels], lags: Sequence[Lag], slots: Sequence[Slot], now: float) -> Sample:
    """One standby or one slot; that it is not there is a silence and never the best of values."""
    metric, sensor, wanted = selected[0], labelled(*selected), dict(selected[1])
    if metric in _OF_A_STANDBY:
        (lag,) = named(lags, [wanted["standby"]])
        sample = _OF_A_STANDBY[metric]([lag], now, sensor)
        return replace(sample, detail=lag.note) if isinstance(sample, Reading) else sample
    mine = [slot for slot in slots if slot.name == wanted["slot"]]
    if not mine:
        return Silence(sensor, f"there is no slot {wanted['slot']}", now)
    return replace(_OF_SLOTS[metric](mine, now), sensor=sensor)


def replication_probe(door: Door, standbys: tuple[str, ...] | int, rules: Iterable[Rule]) -> ReplicationProbe:
    """The probe of what these *rules* use; nothing is connected yet."""
    mine = [rule for rule in rules if rule.metric.startswith("replication.")]
    metrics = {rule.metric for rule in mine if not rule.select}
    return ReplicationProbe(door, standbys, metrics=metrics, selected={(r.metric, r.select) for r in mine if r.select})
