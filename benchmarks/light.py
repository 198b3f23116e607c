"""How light the guard is: its start, its memory and processor time, its work in PostgreSQL per tick."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.rig import Daemon, Rig, stopping
from benchmarks.table import Bar, Row
from guard import sql
from guard.demo.waiting import wait_for

EXPORTER_MS = 9.6
"""Milliseconds in PostgreSQL of one scrape of postgres_exporter (11 queries): the cheapest that was measured on such a
machine; 5-7 of them are pg_database_size."""

OTHER = "all else"
_PROBES = {
    "poll_roster": "probe roster",
    "poll_replication": "probe replication",
    "poll_locks_any": "probe locks",
    "control_publish": "beat",
}
_STATEMENTS = """
select s.query, s.calls, s.total_exec_time, s.total_plan_time
  from pg_stat_statements s join pg_roles r on r.oid = s.userid where r.rolname = 'watcher'
"""


def start(rig: Rig, runs: int) -> list[Row]:
    """Process start to READY=1; each on a database where no other guard leads."""
    seconds, processor = [], []
    for _ in range(runs):
        with rig.daemon(1.0) as daemon:
            seconds.append(daemon.ready)
            processor.append(daemon.cpu or 0.0)
    note = f"of which {statistics.median(processor):.2f} s of processor time (imports); the rest is waiting for a core"
    return [Row("daemon start → ready", tuple(seconds), "s", Bar(1.5, "max"), note)]


def measure(rig: Rig, daemon: Daemon, seconds: float, say: Callable[[str], None]) -> list[Row]:
    """Work per tick at a poll of 1 s while a client works."""
    diary = rig.directory / f"light-{time.monotonic_ns()}"
    with stopping(rig.child("client", "migrator", str(diary))):
        wait_for(lambda: diary.exists() and diary.stat().st_size, within=30, message="the client to begin")
        time.sleep(2)  # the start is not the tick
        counts = [_counts(rig)] if can_count(rig) else []
        before, began = daemon.cpu, time.monotonic()
        say(f"a guarded client works for {seconds:g} s")
        for second in range(1, int(seconds) + 1):
            time.sleep(max(0.0, began + second - time.monotonic()))
            if counts:
                counts.append(_counts(rig))
        after, took = daemon.cpu, time.monotonic() - began
    rows = [] if not counts else _ticks(counts, took)
    if before is not None and after is not None and daemon.memory is not None:
        what = "of one core, poll 1 s, one working client"
        rows.append(Row(f"daemon: processor time {what}", ((after - before) / took * 100,), "%", Bar(2.0, "max")))
        rows.append(Row("daemon: resident memory", (daemon.memory,), "MB", Bar(80.0, "max")))
    return rows


def can_count(rig: Rig) -> bool:
    """Whether the server counts statements; PostgreSQL as a wheel does."""
    row = rig.admin.execute("show shared_preload_libraries").fetchone()
    if row is None or "pg_stat_statements" not in row[0]:
        return False
    rig.admin.execute("create extension if not exists pg_stat_statements")
    return True


@dataclass(frozen=True, slots=True)
class _Count:
    """Calls and milliseconds until now."""

    calls: float = 0.0
    executed: float = 0.0
    planned: float = 0.0

    def plus(self, other: _Count, sign: int = 1) -> _Count:
        return _Count(
            self.calls + sign * other.calls,
            self.executed + sign * other.executed,
            self.planned + sign * other.planned,
        )


def _counts(rig: Rig) -> dict[str, _Count]:
    """For each probe, and all else that the guard asks."""
    known = {_shape(sql.get(name)): words for name, words in _PROBES.items()}
    counted = dict.fromkeys([*_PROBES.values(), OTHER], _Count())
    for query, *numbers in rig.admin.execute(_STATEMENTS).fetchall():
        word = known.get(_shape(query), OTHER)
        counted[word] = counted[word].plus(_Count(*numbers))
    return counted


def _ticks(counts: list[dict[str, _Count]], seconds: float) -> list[Row]:
    words = [*counts[0]]
    each = {word: [after[word].plus(before[word], -1) for before, after in pairwise(counts)] for word in words}
    ticks = list(zip(*each.values(), strict=True))
    shares = (f"{word} {statistics.median(count.executed for count in each[word]):.2f}" for word in words)
    rows = [
        Row(
            "guard's time in PostgreSQL per tick: execution, all probes and the beat",
            tuple(sum(count.executed for count in tick) for tick in ticks),
            "ms",
            Bar(EXPORTER_MS / 5, "median"),
            f"a fifth of a scrape's; medians: {', '.join(shares)}",
        ),
        Row(
            "guard's time in PostgreSQL per tick: planning",
            tuple(sum(count.planned for count in tick) for tick in ticks),
            "ms",
            None,
            "probes are planned anew each time; not in the scrape's figure",
        ),
    ]
    # A tick may fall to either side of the window's ends.
    bar = Bar(round(1 + 2 / seconds, 2), "max")
    for word in words:
        calls = (counts[-1][word].calls - counts[0][word].calls) / seconds
        rows.append(Row(f"round trips per tick: {word}", (calls,), "", None if word == OTHER else bar))
    return rows


def _shape(query: str) -> str:
    """A statement without what pg_stat_statements replaces, to find ours again."""
    return re.sub(r"'[^']*'|%\(\w+\)s|\$\d+|\b\d+\b|\bepoch\b|\s", "", query.replace("%%", "%"))
