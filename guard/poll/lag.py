"""How far standbys are behind, from what the primary shows of them and what it showed before. Pure.

The lag columns of pg_stat_replication are no measure by themselves: they are NULL both when a standby is caught up and
when its walreceiver hangs, they freeze, and while catching up they count from sending, not from commit. So the age of
the WAL that a standby replayed last is taken from own samples of (time, WAL position).
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from guard.model import Reading, Sample, Silence

GUESSED = 5.0
"""Seconds of a lag that may rest on nothing but where the primary was in between two looks at it."""
SECONDS, BYTES = "replication.lag", "replication.lag_bytes"
WRITE, FLUSH = "replication.write_lag_bytes", "replication.flush_lag_bytes"
REPLY_AGE = "replication.reply_age"
_WORST = {REPLY_AGE: "longest without a reply"}


@dataclass(frozen=True, slots=True)
class Sender:
    """A row of pg_stat_replication; positions in bytes, times in seconds."""

    pid: int
    name: str
    state: str | None
    positions_known: bool
    replay_lsn: int | None
    replay_lag: float | None
    replied_wall: float | None
    reply_age: float | None
    """By the clocks of both servers, which may differ."""
    write_lsn: int | None = None
    flush_lsn: int | None = None
    logical: bool = False
    """A subscriber's: it looks as a standby's does, but no standby is behind it."""

    @property
    def replays(self) -> bool:
        """Whether it is a standby that streams and replays: no archive, no base backup, no subscriber."""
        return self.state == "streaming" and self.replay_lsn is not None and not self.logical

    @property
    def note(self) -> str:
        """What people should know of it."""
        return "catching up" if self.state == "catchup" else ""


@dataclass(frozen=True, slots=True)
class Lag:
    """What is known of one standby."""

    name: str
    seconds: float = 0.0
    """The lag, or where it is not `certain` a part of it."""
    bytes: int = 0
    certain: bool = True
    silent: str = ""
    """Why nothing can be said of it; the numbers mean nothing then."""
    note: str = ""
    """What people should know of it beside the number."""


class LagClock:
    """Remembers when the primary's WAL had come how far, and so tells how old a position is."""

    def __init__(self, capacity: int = 2048) -> None:
        self._capacity = capacity
        self._timeline = ""
        self._times: list[float] = []
        self._lsns: list[int] = []

    def advance(self, now: float, lsn: int, timeline: str) -> bool:
        """Record the primary's position. False where it is another history of WAL, and all before was forgotten."""
        same = not self._lsns or (timeline == self._timeline and lsn >= self._lsns[-1])
        if not same:
            self._times, self._lsns = [], []
        self._timeline = timeline
        if self._lsns[-2:] == [lsn, lsn]:  # an idle time needs its first and its last sample only
            self._times[-1] = now
            return same
        self._times.append(now)
        self._lsns.append(lsn)
        if len(self._times) > self._capacity:  # thin the older half: long lags need less precision
            half = self._capacity // 2
            self._times[1:half] = self._times[1:half:2]
            self._lsns[1:half] = self._lsns[1:half:2]
        return same

    def lag(self, replayed: int, reported: float | None, now: float) -> tuple[float, bool]:
        """Seconds since the primary's WAL was at *replayed*, and whether that is the whole lag.

        WAL first seen after *replayed* has been waiting since that sample at least; WAL that was there at the sample
        before it has been replayed. Between the two the position is interpolated, and *reported* (the primary's own
        replay_lag, which can be stale both ways) counts as far as it lies in these bounds. Older than the first
        sample, only a part of the lag is known; and so where little is proven and much is guessed: after a rest a
        commit of this moment must not pass for one as old as the rest.
        """
        after = bisect.bisect_right(self._lsns, replayed)
        if after == len(self._lsns):
            return 0.0, True
        least = now - self._times[after]
        if after == 0:
            return max(least, reported or 0.0), False
        before = after - 1
        share = (replayed - self._lsns[before]) / (self._lsns[after] - self._lsns[before])
        estimate = now - (self._times[before] + share * (self._times[after] - self._times[before]))
        lag = min(max(estimate, reported or 0.0), now - self._times[before])
        return (least, False) if lag - least > GUESSED > least else (lag, True)


@dataclass(slots=True)
class _Heard:
    replied_wall: float
    since: float
    lsn: int
    changed: bool = False
    due_since: float | None = None
    """When WAL was first seen that it had not been sent at its last reply, so that a reply is due."""


class ReplyClock:
    """Whether standbys still reply, by the guard's own clock: reply_time is by the standby's, which may differ."""

    def __init__(self, limit: float, idle_limit: float) -> None:
        self._limit, self._idle_limit = limit, idle_limit
        self._heard: dict[int, _Heard] = {}

    def silent_for(self, sender: Sender, now: float, lsn: int) -> float | None:
        """Seconds since the last reply, where that is too long; None where it is not, or none was ever given.

        WAL brings a reply at once. Without any, a standby speaks each wal_receiver_status_interval (10 s) only.
        """
        if sender.replied_wall is None:
            return None
        heard = self._heard.get(sender.pid)
        if heard is None or heard.replied_wall != sender.replied_wall:
            heard = _Heard(sender.replied_wall, now, lsn, changed=heard is not None)
            self._heard[sender.pid] = heard
        if heard.due_since is None and lsn > heard.lsn:
            heard.due_since = now
        silent = now - heard.since
        if not heard.changed:  # the first sight says when it was seen, not when it was said
            silent = max(silent, sender.reply_age or 0.0)
        due = heard.due_since is not None and now - heard.due_since > self._limit
        return silent if due or silent > self._idle_limit else None

    def age(self, sender: Sender, now: float) -> float | None:
        """Seconds since the last reply that silent_for() has heard of; None where none was ever given."""
        heard = self._heard.get(sender.pid)
        if sender.replied_wall is None or heard is None:
            return None
        return now - heard.since if heard.changed else max(now - heard.since, sender.reply_age or 0.0)

    def forget_others(self, pids: Iterable[int]) -> None:
        """Drop what is known of walsenders that have gone."""
        alive = set(pids)
        self._heard = {pid: heard for pid, heard in self._heard.items() if pid in alive}


def measure(sender: Sender, lsn: int, now: float, clocks: tuple[LagClock, ReplyClock]) -> Lag:
    """What one row says of its standby: how far replay is behind, in bytes and in seconds."""
    clock, replies = clocks
    position = sender.replay_lsn if sender.positions_known else None
    lag = behind(sender, position, (lsn, now), replies)
    if lag.silent or position is None:
        return lag
    seconds, certain = clock.lag(position, sender.replay_lag, now) if lag.bytes else (0.0, True)
    return replace(lag, seconds=seconds, certain=certain)


def behind(sender: Sender, position: int | None, primary: tuple[int, float], replies: ReplyClock) -> Lag:
    """How far one of a standby's positions is behind the *primary*, whose position was read when: bytes alone.

    What never replays is no standby but an archive (pg_receivewal), however well it receives.
    """
    lsn, now = primary
    silent_for = replies.silent_for(sender, now, lsn)
    if sender.state not in {"streaming", "catchup"}:
        return Lag(sender.name, silent=f"{sender.name} is in state {sender.state or 'unknown'}")
    if position is None or sender.replay_lsn is None or sender.replied_wall is None:
        return Lag(sender.name, silent=f"{sender.name} reports no WAL position")
    if silent_for is not None:
        return Lag(sender.name, silent=f"{sender.name} has not replied for {silent_for:.1f} s")
    return Lag(sender.name, bytes=max(0, lsn - position), note=sender.note)


def unheard(sender: Sender, primary: tuple[int, float], replies: ReplyClock) -> Lag:
    """Seconds since a standby's last reply, however long that is: that it is silent is what is measured here."""
    lsn, now = primary
    replies.silent_for(sender, now, lsn)
    age = replies.age(sender, now)
    if sender.replay_lsn is None:
        return Lag(sender.name, silent=f"{sender.name} reports no WAL position")
    if age is None:
        return Lag(sender.name, silent=f"{sender.name} has not replied yet")
    return Lag(sender.name, age, note=sender.note)


def named(lags: Sequence[Lag], standbys: Iterable[str]) -> list[Lag]:
    """One Lag for each expected name, the slowest of its rows; other names are nobody's business.

    A dead connection's row stays for wal_sender_timeout beside the new one, so a silent row counts only where no
    other of that name speaks.
    """
    found = []
    for name in standbys:
        rows = [lag for lag in lags if lag.name == name] or [Lag(name, silent=f"{name} is not connected")]
        speaking = [lag for lag in rows if not lag.silent]
        found.append(max(speaking, key=_gravity) if speaking else rows[0])
    return found


def best(lags: Sequence[Lag], count: int) -> list[Lag]:
    """The *count* least lagging standbys of any name; silences stand in for those that are missing."""
    speaking = sorted((lag for lag in lags if not lag.silent), key=_gravity)[:count]
    if len(speaking) == count:
        return speaking
    silent = sorted(lag.silent for lag in lags if lag.silent)
    why = f"{len(speaking)} of {count} expected standbys can be measured"
    return [*speaking, Lag("", silent="; ".join([why, *silent]))]


def _gravity(lag: Lag) -> tuple[bool, float, int, str]:
    return not lag.certain, lag.seconds, lag.bytes, lag.name  # by name last, so that no order of the rows shows


def samples(lags: Sequence[Lag], taken_at: float) -> tuple[Sample, Sample]:
    """The slowest of all, in seconds and in bytes; in whatever order they come, a silent one leaves no reading."""
    return in_seconds(lags, taken_at), in_bytes(lags, taken_at)


def in_seconds(lags: Sequence[Lag], taken_at: float, sensor: str = SECONDS) -> Sample:
    """The slowest by time; a lag that is known in part is a silence with that part."""
    vague = sorted(lag.name for lag in lags if not lag.silent and not lag.certain)
    unsure = "not seen for long enough to tell the lag of " + ", ".join(vague) if vague else ""
    return _slowest(sensor, [(lag, lag.seconds) for lag in lags], unsure, taken_at)


def in_bytes(lags: Sequence[Lag], taken_at: float, sensor: str = BYTES) -> Sample:
    """The slowest by what it has not replayed."""
    return _slowest(sensor, [(lag, float(lag.bytes)) for lag in lags], "", taken_at)


def _slowest(sensor: str, measured: Sequence[tuple[Lag, float]], unsure: str, taken_at: float) -> Sample:
    speaking = [(value, lag.name, lag.note) for lag, value in measured if not lag.silent]
    slowest = max(speaking, default=None)
    why = "; ".join(sorted(lag.silent for lag, _ in measured if lag.silent)) or unsure
    if why or slowest is None:
        return Silence(sensor, why, taken_at, None if slowest is None else slowest[0])
    value, name, note = slowest
    return Reading(
        sensor, value, taken_at, f"{_WORST.get(sensor, 'slowest standby')}: {name}{', ' if note else ''}{note}"
    )
