"""A healthy backfill beside 20 writers of the same rows: nobody may be cancelled, and no one deadlocked.

The writers say themselves what happened to them; the server's own count of deadlocks and its log are asked too.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from benchmarks.rig import Rig, stopping
from benchmarks.table import Bar, Row
from guard.client import Migration
from guard.demo.waiting import wait_for

WRITERS = 20
BATCH = 500
ROWS = 20_000

_CANCELS = "select count(*) from migration_guard.event where kind like 'cancel%' and event_id > {}"
_DEADLOCKS = "select deadlocks from pg_stat_database where datname = current_database()"


def measure(rig: Rig, minutes: float, say: Callable[[str], None]) -> list[Row]:
    """Counts; each must be none."""
    report = rig.directory / f"writers-{time.monotonic_ns()}.json"
    event = _number(rig, "select coalesce(max(event_id), 0) from migration_guard.event")
    deadlocks, logged = _number(rig, _DEADLOCKS), _logged(rig)
    with stopping(rig.child("writers", "app", str(report), str(WRITERS), str(ROWS))) as writers:
        say(f"{WRITERS} writers and a backfill of the same rows for {minutes:g} min")
        batches = _backfill(rig, minutes * 60)
        assert writers.running, writers.tail()
    wait_for(report.exists, message=lambda: f"the writers' report:\n{writers.tail()}")
    told = json.loads(report.read_text())
    time.sleep(1.5)  # the server's statistics are written with a delay
    note = f"{batches} batches of {BATCH} rows, {told['writes']} writes"
    what = f"backfill beside {WRITERS} writers for {minutes:g} min"
    errors = sum(told["errors"].values())
    none = Bar(0.0, "max")
    return [
        Row(f"{what}: cancels by the guard", (_number(rig, _CANCELS.format(event)),), "", none, note),
        Row(f"{what}: application sessions with an error", (errors,), "", none, json.dumps(told["errors"])),
        Row(f"{what}: deadlocks", (_number(rig, _DEADLOCKS) - deadlocks,), "", none),
        Row(f"{what}: statements cancelled or sessions ended, by the server's log", (_logged(rig) - logged,), "", none),
        Row(f"{what}: longest write", (told["longest_ms"],), "ms", None, "waiting for a batch of the same rows"),
    ]


def _backfill(rig: Rig, seconds: float) -> int:
    end, batches = time.monotonic() + seconds, 0
    with (
        rig.connect("migrator", "migration:healthy") as connection,
        Migration(connection, "healthy", on_wait=lambda _: None) as migration,
    ):
        for number in migration.pace(iter(int, 1)):
            first = (batches * BATCH) % ROWS
            # In order of the key, as a backfill that minds others does; each writer changes one row at a time.
            connection.execute("update items set n = n + 1 where id > %s and id <= %s", [first, first + BATCH])
            migration.progress(BATCH)
            batches += 1 + number
            time.sleep(0.02)
            if time.monotonic() > end:
                return batches
    raise AssertionError("batches end only by time")


def _number(rig: Rig, query: str) -> float:
    row = rig.admin.execute(query.encode()).fetchone()
    assert row is not None
    return float(row[0])


def _logged(rig: Rig) -> float:
    log = rig.primary.log_text()
    words = ("canceling statement due to user request", "terminating connection due to administrator command")
    return float(sum(log.count(word) for word in words))
