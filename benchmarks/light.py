"""How light the guard is: its start, its memory and processor time, its work in PostgreSQL per tick."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from benchmarks.rig import Daemon, Rig, stopping
from benchmarks.spent import OTHER, Books, Spent, total
from benchmarks.table import Bar, Row
from guard.demo.waiting import wait_for

NAMES = {"signal": "beat", "cancel": "canceller", OTHER: "all else"}
"""Of connections, where they are no probe's."""


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
        books = Books(rig.admin, guard="watcher", beside="migrator") if can_count(rig) else None
        if books is not None:
            books.learn(3.0)
            books.turn()
        turns = []
        before, began = daemon.cpu, time.monotonic()
        say(f"a guarded client works for {seconds:g} s")
        for second in range(1, int(seconds) + 1):
            time.sleep(max(0.0, began + second - time.monotonic()))
            if books is not None:
                turns.append(books.turn())
        after, took = daemon.cpu, time.monotonic() - began
    rows = _ticks(turns, took) if turns else []
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


def _ticks(turns: list[dict[str, Spent]], seconds: float) -> list[Row]:
    """Of each second's work: all of it, and the round trips of each connection."""
    who = dict.fromkeys(name for turn in turns for name in turn if name != "migrator")
    each = {name: [turn.get(name, Spent()) for turn in turns] for name in who}
    sums = [total(turn.get(name, Spent()) for name in who) for turn in turns]
    shares = ", ".join(f"{name} {Spent.typical(seen).executed:.2f}" for name, seen in each.items())
    rows = [
        Row(f"guard's time in PostgreSQL per tick: {what}", tuple(getattr(one, key) for one in sums), "ms", None, note)
        for what, key, note in (
            ("execution, all probes and the beat", "executed", f"medians: {shares}; what a scrape takes is in `cost`"),
            ("planning", "planned", "the statements of probes are prepared"),
            ("processor time, with parsing and the protocol", "processor", ""),
        )
    ]
    # A tick may fall to either side of the window's ends.
    bar = Bar(round(1 + 2 / seconds, 2), "max")
    for name, seen in each.items():
        calls = sum(one.trips for one in seen) / seconds
        if calls > 0:
            promised = name in {"roster", "replication", "locks", "signal"}
            what = f"round trips per tick: {NAMES.get(name, f'probe {name}')}"
            rows.append(Row(what, (calls,), "", bar if promised else None))
    return rows
