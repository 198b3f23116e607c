"""Metrics of standbys, from one look at the primary: the worst of those that are expected, or one of them alone. Pure.

Lags and their clocks are in lag.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from guard.model import Reading, Sample
from guard.poll.lag import (
    BYTES,
    FLUSH,
    REPLY_AGE,
    SECONDS,
    WRITE,
    Lag,
    LagClock,
    ReplyClock,
    Sender,
    behind,
    best,
    in_bytes,
    in_seconds,
    measure,
    named,
    unheard,
)

OF_A_STANDBY: Final = {
    SECONDS: in_seconds,
    BYTES: in_bytes,
    WRITE: in_bytes,
    FLUSH: in_bytes,
    REPLY_AGE: in_seconds,
}
"""Metrics that have a series for each standby, and how many of them become one sample."""
Expected = tuple[str, ...] | int


@dataclass(frozen=True, slots=True)
class Standbys:
    """Every row of pg_stat_replication in one look, and where the primary was."""

    senders: Sequence[Sender]
    lsn: int
    taken_at: float
    clocks: tuple[LagClock, ReplyClock]

    def worst(self, metric: str, expected: Expected) -> Sample:
        """The worst of the expected standbys; 0 where none is expected, since that was said on purpose."""
        if not expected:
            return none_expected(metric, self.taken_at)
        if isinstance(expected, int):
            # Of whatever name, so a subscriber would stand in for a standby that is gone; who names one means it.
            chosen = best([self._lag(metric, sender) for sender in self.senders if not sender.logical], expected)
        else:
            chosen = named(self._lags(metric), expected)
        return OF_A_STANDBY[metric](chosen, self.taken_at, metric)

    def one(self, metric: str, name: str, sensor: str) -> Sample:
        """One standby, expected or not; that it is missing is a silence."""
        (lag,) = named(self._lags(metric), [name])
        sample = OF_A_STANDBY[metric]([lag], self.taken_at, sensor)
        return replace(sample, detail=lag.note) if isinstance(sample, Reading) else sample

    def _lags(self, metric: str) -> list[Lag]:
        return [self._lag(metric, sender) for sender in self.senders]

    def _lag(self, metric: str, sender: Sender) -> Lag:
        primary, replies = (self.lsn, self.taken_at), self.clocks[1]
        if metric == REPLY_AGE:
            return unheard(sender, primary, replies)
        if metric in {WRITE, FLUSH}:
            return behind(sender, sender.write_lsn if metric == WRITE else sender.flush_lsn, primary, replies)
        return measure(sender, self.lsn, self.taken_at, self.clocks)


def none_expected(metric: str, now: float) -> Reading:
    """What every lag is where the file says that there are no standbys."""
    return Reading(metric, 0.0, now, "no standbys are expected, on purpose")
