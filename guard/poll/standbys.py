"""Metrics of standbys, from one look at all: the worst of those that are expected, or one of them alone. Pure.

The primary's row of a standby counts; what one says of itself counts where there is no row. Lags are in lag.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from guard.model import Reading, Sample
from guard.poll.aside import Said
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
    """Every row of pg_stat_replication in one look, where the primary was, and what standbys said of themselves."""

    senders: Sequence[Sender]
    lsn: int
    taken_at: float
    clocks: tuple[LagClock, ReplyClock]
    home: tuple[int, int] = (0, 0)
    """The primary's system identifier and timeline."""
    aside: Mapping[str, Said | str] = field(default_factory=dict)
    """By name; why there is no answer."""

    @property
    def streaming(self) -> list[str]:
        """Names of those that stream and replay."""
        rows = [each.name for each in self.senders if each.replays]
        for name, said in self._unseen():
            if isinstance(said, Said) and said.streams and not said.flaw(name, *self.home):
                rows.append(name)
        return sorted(rows)

    def worst(self, metric: str, expected: Expected) -> Sample:
        """The worst of the expected standbys; 0 where none is expected, since that was said on purpose."""
        if not expected:
            return none_expected(metric, self.taken_at)
        if isinstance(expected, int):
            # Of whatever name, so a subscriber would stand in for a standby that is gone; who names one means it.
            chosen = best(self._lags(metric, [sender for sender in self.senders if not sender.logical]), expected)
        else:
            chosen = named(self._lags(metric, self.senders), expected)
        return OF_A_STANDBY[metric](chosen, self.taken_at, metric)

    def one(self, metric: str, name: str, sensor: str) -> Sample:
        """One standby, expected or not; that it is missing is a silence."""
        (lag,) = named(self._lags(metric, self.senders), [name])
        sample = OF_A_STANDBY[metric]([lag], self.taken_at, sensor)
        return replace(sample, detail=lag.note) if isinstance(sample, Reading) else sample

    def _lags(self, metric: str, senders: Sequence[Sender]) -> list[Lag]:
        rows = [self._lag(metric, sender) for sender in senders]
        return rows + [self._own(metric, name, said) for name, said in self._unseen()]

    def _unseen(self) -> list[tuple[str, Said | str]]:
        rows = {sender.name for sender in self.senders}
        return [(name, said) for name, said in self.aside.items() if name not in rows]

    def _lag(self, metric: str, sender: Sender) -> Lag:
        primary, replies = (self.lsn, self.taken_at), self.clocks[1]
        if metric == REPLY_AGE:
            return unheard(sender, primary, replies)
        if metric in {WRITE, FLUSH}:
            return behind(sender, sender.write_lsn if metric == WRITE else sender.flush_lsn, primary, replies)
        return measure(sender, self.lsn, self.taken_at, self.clocks)

    def _own(self, metric: str, name: str, said: Said | str) -> Lag:
        if isinstance(said, str):
            return Lag(name, silent=said)
        if flaw := said.flaw(name, *self.home):
            return Lag(name, silent=flaw)
        if metric == REPLY_AGE:
            return Lag(name, silent=f"{name} replies to another server than the primary")
        position = said.position(metric)
        if position is None:
            return Lag(name, silent=f"{name} reports no WAL position")
        bytes_behind = max(0, self.lsn - position)
        seconds, certain = self.clocks[0].lag(position, None, self.taken_at) if bytes_behind else (0.0, True)
        return Lag(name, seconds, bytes_behind, certain, note=said.note)


def none_expected(metric: str, now: float) -> Reading:
    """What every lag is where the file says that there are no standbys."""
    return Reading(metric, 0.0, now, "no standbys are expected, on purpose")
