"""How light the guard is: its start, its memory and processor time, its work in PostgreSQL per tick."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable

from benchmarks.rig import Daemon, Rig, stopping
from benchmarks.table import Bar, Row
from guard import sql
from guard.demo.waiting import wait_for

EXPORTER_MS = 9.6
"""Milliseconds in PostgreSQL of one scrape of postgres_exporter (11 queries): the cheapest that was measured on such a
machine; 5-7 of them are pg_database_size."""

_PROBES = {
    "poll_roster": "probe roster",
    "poll_replication": "probe replication",
    "poll_locks_any": "probe locks",
    "control_publish": "beat",
}
_STATEMENTS = """
select s.query, s.calls, s.total_exec_time + s.total_plan_time
  from pg_stat_statements s join pg_roles r on r.oid = s.userid where r.rolname = 'watcher'
"""


def start(rig: Rig, runs: int) -> list[Row]:
    """Process start to READY=1; each on a database where no other guard leads."""
    seconds = []
    for _ in range(runs):
        with rig.daemon(1.0) as daemon:
            seconds.append(daemon.ready)
    return [Row("daemon start → ready", tuple(seconds), "s", Bar(1.5, "max"))]


def measure(rig: Rig, daemon: Daemon, seconds: float, say: Callable[[str], None]) -> list[Row]:
    """Work per tick at a poll of 1 s while a client works."""
    counted = _can_count(rig)
    diary = rig.directory / f"light-{time.monotonic_ns()}"
    with stopping(rig.child("client", "migrator", str(diary))):
        wait_for(lambda: diary.exists() and diary.stat().st_size, within=30, message="the client to begin")
        time.sleep(2)  # the start is not the tick
        if counted:
            rig.admin.execute("select pg_stat_statements_reset()")
        before, began = daemon.cpu, time.monotonic()
        say(f"a guarded client works for {seconds:g} s")
        time.sleep(seconds)
        after, took = daemon.cpu, time.monotonic() - began
        statements = rig.admin.execute(_STATEMENTS).fetchall() if counted else []
    rows = [] if not counted else _ticks(statements, took)
    if before is not None and after is not None and daemon.memory is not None:
        what = "of one core, poll 1 s, one working client"
        rows.append(Row(f"daemon: processor time {what}", ((after - before) / took * 100,), "%", Bar(2.0, "max")))
        rows.append(Row("daemon: resident memory", (daemon.memory,), "MB", Bar(80.0, "max")))
    return rows


def _can_count(rig: Rig) -> bool:
    row = rig.admin.execute("show shared_preload_libraries").fetchone()
    if row is None or "pg_stat_statements" not in row[0]:
        return False
    rig.admin.execute("create extension if not exists pg_stat_statements")
    return True


def _ticks(statements: list[tuple[str, int, float]], seconds: float) -> list[Row]:
    known = {_shape(sql.get(name)): words for name, words in _PROBES.items()}
    calls: dict[str, float] = defaultdict(float)
    spent: dict[str, float] = defaultdict(float)
    for query, count, milliseconds in statements:
        word = known.get(_shape(query), "other")
        calls[word] += count / seconds
        spent[word] += milliseconds / seconds
    total = Row(
        "guard's time in PostgreSQL per tick, all probes and the beat",
        (sum(spent.values()),),
        "ms",
        Bar(EXPORTER_MS / 5, "max"),
        "plan and execution; " + ", ".join(f"{word} {spent[word]:.2f}" for word in sorted(spent)),
    )
    # A tick may fall to either side of the window's ends.
    edge = 2 / seconds
    trips = [
        Row(f"round trips per tick: {word}", (calls[word],), "", Bar(round(1 + edge, 2), "max"))
        for word in _PROBES.values()
    ]
    other = calls["other"]
    return [total, *trips, Row("round trips per tick: all else", (other,), "", None, "connection set-up, new events")]


def _shape(query: str) -> str:
    """A statement without what pg_stat_statements replaces, to find ours again."""
    return re.sub(r"'[^']*'|%\(\w+\)s|\$\d+|\b\d+\b|\s", "", query.replace("%%", "%"))
