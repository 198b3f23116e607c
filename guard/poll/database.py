"""WAL, archive, vacuum, checkpoints, and the database's own counters, as rates over own samples.

Each metric has its reason where it has no value; one that is silent takes no other with it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

from psycopg.sql import SQL, Composed

from guard import sql
from guard.errors import ServerError, WrongServer
from guard.model import Reading, Sample, Silence
from guard.poll.rates import MINUTE, NOTHING, Counters
from guard.poll.samples import NOT_PERMITTED, Recognition, silences, words
from guard.poll.vacuums import Vacuums
from guard.ports import Observation
from guard.postgres import Door

WAL, ARCHIVE = "wal.bytes_per_second", "wal.archive_backlog"
WRAPAROUND, CHECKPOINTS = "vacuum.wraparound_age", "checkpoints.requested_per_minute"
DEADLOCKS, TEMP = "database.deadlocks_per_minute", "database.temp_bytes_per_second"
ROLLBACKS = "database.rollback_ratio"
VACUUMED = "vacuum.on_migration_table"
READ, READ_TIME = "database.read_bytes_per_second", "database.read_latency"
SYNC_TIME = "wal.sync_latency"
_PARTS: Final = {
    "counters": {DEADLOCKS, TEMP, ROLLBACKS, READ, READ_TIME},
    "archive": {ARCHIVE},
    "wraparound": {WRAPAROUND},
    "checkpoints": {CHECKPOINTS},
    "syncs": {SYNC_TIME},
}
_NEW_VIEW: Final = 170000
"""PostgreSQL 17 moved the counters of checkpoints to a view of their own."""
_SYNCS_MOVED: Final = 180000
"""PostgreSQL 18 moved those of synced WAL from pg_stat_wal to pg_stat_io."""
_SEGMENT: Final = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(\.partial|\.[0-9A-F]{8}\.backup)?")


@dataclass(frozen=True, slots=True)
class Timed:
    """What the server counts and, where a setting says so, times."""

    metric: str
    setting: str
    act: str
    nothing: str
    unit: str


READS: Final = Timed(READ_TIME, "track_io_timing", "read", "no block was read", "blocks")
SYNCS: Final = Timed(SYNC_TIME, "track_wal_io_timing", "sync", "no WAL was synced", "syncs")


@dataclass(frozen=True, slots=True)
class _Seen:
    in_recovery: bool
    lsn: int | None
    timeline: str | None
    counters: dict[str, Any] | None
    archive: dict[str, Any] | None
    oldest: dict[str, Any] | None
    checkpoints: dict[str, Any] | None
    syncs: dict[str, Any] | None
    vacuum: dict[str, Any] | None


class DatabaseProbe:
    """Reads those of *metrics* that rules use; the parts of its one query that none needs are not looked at."""

    cheap = False

    def __init__(
        self,
        door: Door,
        metrics: Collection[str],
        *,
        recognition: Recognition | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = "database"
        self._door = door
        self._metrics = sorted(metrics)
        self._params: dict[str, Any] = {part: bool(names & set(metrics)) for part, names in _PARTS.items()}
        if VACUUMED in self._metrics:
            self._params |= (recognition or Recognition()).params
        self._vacuums = Vacuums()
        self._now = clock
        self._wal, self._counters, self._checkpoints = Counters(), Counters(), Counters()
        self._reads, self._syncs = Counters(), Counters()

    async def poll(self) -> Observation:
        """One round trip."""
        asked = self._now()
        try:
            await self._door.connect(at_once=False)
            (seen,) = await self._door.fetch_as(_Seen, self._query(), self._params)
        except (ServerError, WrongServer) as error:
            return self.silence(words(error) if isinstance(error, ServerError) else str(error), self._now())
        if seen.in_recovery or seen.lsn is None:
            return self.silence("connected to a standby, which does not count what the primary does", asked)
        self._remember(seen, asked)
        return Observation(tuple(self._sample(name, seen, asked) for name in self._metrics))

    def _query(self) -> Composed:
        version = self._door.server_version
        checkpoints = sql.get("poll_checkpoints" if version >= _NEW_VIEW else "poll_checkpoints_16")
        syncs = sql.get("poll_wal_syncs" if version >= _SYNCS_MOVED else "poll_wal_syncs_17")
        vacuum = Composed([SQL("null::jsonb")])
        if VACUUMED in self._metrics:
            vacuum = SQL(sql.get("poll_vacuum")).format(migration=SQL(sql.get("poll_migration")))
        return SQL(sql.get("poll_database")).format(checkpoints=SQL(checkpoints), syncs=SQL(syncs), vacuum=vacuum)

    def _remember(self, seen: _Seen, now: float) -> None:
        self._wal.add(now, {"lsn": float(seen.lsn or 0)}, seen.timeline)
        if seen.counters is not None:
            names = ("deadlocks", "temp_bytes", "commits", "rollbacks", "bytes_read")
            era = (seen.timeline, seen.counters["reset"])
            self._counters.add(now, {name: float(seen.counters[name]) for name in names}, era)
            _add_timed(self._reads, seen.counters["reads"], now, era)
        if seen.checkpoints is not None:
            requested = {"requested": float(seen.checkpoints["requested"])}
            self._checkpoints.add(now, requested, (seen.timeline, seen.checkpoints["reset"]))
        if seen.syncs is not None:
            _add_timed(self._syncs, seen.syncs, now, (seen.timeline, seen.syncs["reset"]))

    def _sample(self, name: str, seen: _Seen, now: float) -> Sample:
        per_second = {
            WAL: (self._wal, "lsn"),
            TEMP: (self._counters, "temp_bytes"),
            READ: (self._counters, "bytes_read"),
        }
        in_a_minute = {DEADLOCKS: (self._counters, "deadlocks"), CHECKPOINTS: (self._checkpoints, "requested")}
        if name in per_second:
            return _per_second(name, *per_second[name], now)
        if name in in_a_minute:
            return _in_a_minute(name, *in_a_minute[name], now)
        if name == ROLLBACKS:
            return _rollbacks(self._counters, now)
        if name == READ_TIME:
            return mean_time(READS, self._reads, now, on=bool(seen.counters and seen.counters["reads"]["timed"]))
        if name == SYNC_TIME and seen.syncs is not None:
            return self._synced(seen.syncs, now)
        if name == VACUUMED and seen.vacuum is not None:
            return self._vacuumed(seen.vacuum, now)
        if name == WRAPAROUND and seen.oldest is not None:
            return Reading(name, float(seen.oldest["age"]), now, f"the oldest: database {seen.oldest['name']}")
        return backlog(seen.archive or {}, now)

    def _synced(self, syncs: dict[str, Any], now: float) -> Sample:
        if str(syncs["method"]).startswith("open_"):
            return Silence(SYNC_TIME, f"wal_sync_method is {syncs['method']}, with which no sync is counted", now)
        return mean_time(SYNCS, self._syncs, now, on=bool(syncs["timed"]))

    def _vacuumed(self, vacuum: dict[str, Any], now: float) -> Sample:
        if not vacuum["permitted"]:
            return Silence(VACUUMED, NOT_PERMITTED, now)
        seconds, which = self._vacuums.look(vacuum["tables"])
        return Reading(VACUUMED, seconds, now, which)

    def silence(self, why: str, now: float) -> Observation:
        """No sensor has a value."""
        return silences(self._metrics, why, now)

    async def close(self) -> None:
        """Close the probe's connection."""
        await self._door.close()


def _per_second(name: str, counters: Counters, counter: str, now: float) -> Sample:
    grown = counters.grown(counter)
    if grown is None or grown[1] <= 0:
        return Silence(name, counters.why, now)
    return Reading(name, grown[0] / grown[1], now, f"over {grown[1]:.3g} s")


def _in_a_minute(name: str, counters: Counters, counter: str, now: float) -> Sample:
    grown = counters.grown(counter, MINUTE)
    if grown is None:
        return Silence(name, counters.why, now)
    return Reading(name, grown[0], now, f"counted in the last {grown[1]:.3g} s")


def _rollbacks(counters: Counters, now: float) -> Sample:
    back, through = counters.grown("rollbacks"), counters.grown("commits")
    if back is None or through is None:
        return Silence(ROLLBACKS, counters.why, now)
    ended = back[0] + through[0]
    if ended <= 0:
        return Silence(ROLLBACKS, f"{NOTHING}no transaction has ended in {back[1]:.3g} s", now)
    return Reading(ROLLBACKS, back[0] / ended, now, f"{back[0]:g} of {ended:g} transactions in {back[1]:.3g} s")


def _add_timed(counters: Counters, seen: dict[str, Any], now: float, era: object) -> None:
    counters.add(now, {"count": float(seen["count"]), "time": float(seen["time"])}, era)


def mean_time(what: Timed, counters: Counters, now: float, *, on: bool) -> Sample:
    """Of each that was counted; *on*: the server times it."""
    if not on:
        return Silence(what.metric, f"{what.setting} is off, so no {what.act} is timed", now)
    count, spent = counters.grown("count"), counters.grown("time")
    if count is None or spent is None:
        return Silence(what.metric, counters.why, now)
    if count[0] <= 0:
        # A database that fits into memory reads nothing, and that is well.
        return Silence(what.metric, f"{NOTHING}{what.nothing} in {count[1]:.3g} s", now, abstains=True)
    return Reading(what.metric, spent[0] / count[0], now, f"{count[0]:g} {what.unit} in {count[1]:.3g} s")


def backlog(archive: dict[str, Any], now: float) -> Sample:
    """Whole WAL segments between the one archived last and the one that is written now."""
    if archive.get("mode") == "off":
        return Silence(ARCHIVE, "archive_mode is off: nothing is archived", now)
    last, newest = (_SEGMENT.fullmatch(archive.get(key) or "") for key in ("archived", "newest"))
    failing = ", and the last try has failed" if archive.get("failing") else ""
    if last is None or newest is None:
        return Silence(ARCHIVE, f"no WAL segment was archived since the statistics were reset{failing}", now)
    if last[1] != newest[1]:
        return Silence(ARCHIVE, f"the segment archived last is of timeline {last[1]}, not of {newest[1]}{failing}", now)
    waiting = _number(newest, archive["segment_bytes"]) - _number(last, archive["segment_bytes"]) - 1
    return Reading(ARCHIVE, float(max(0, waiting)), now, f"archived last: {last[0]}{failing}")


def _number(segment: re.Match[str], segment_bytes: int) -> int:
    return int(segment[2], 16) * ((1 << 32) // segment_bytes) + int(segment[3], 16)
