"""What the guard costs a migration: a checkpoint against SELECT 1, and a guarded backfill against an unguarded one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from benchmarks.rig import Connection, Rig
from benchmarks.table import Bar, Row
from guard.client import Migration

BATCH, BATCHES = 1000, 100
BLOCK = 25
"""Questions of one kind before the other kind's turn: both see the same weather."""


def checkpoint(rig: Rig, blocks: int) -> list[Row]:
    """Medians of interleaved blocks on one connection, as a ratio."""
    ratios, asked = [], []
    with (
        rig.connect("migrator", "migration:cost") as connection,
        Migration(connection, "cost", fresh_for=0.0, poll=0.05, on_wait=lambda _: None) as migration,
    ):
        migration.checkpoint()
        for _ in range(blocks):
            plain = _median(lambda: connection.execute("select 1").fetchone())
            guarded = _median(migration.checkpoint)
            ratios.append(guarded / plain)
            asked.append(guarded * 1000)
    return [
        Row(
            "checkpoint that asks, against SELECT 1 on the same connection",
            tuple(ratios),
            "x",
            Bar(2.0, "median"),
            f"medians of blocks of {BLOCK}; one checkpoint {sorted(asked)[len(asked) // 2]:.2f} ms",
        )
    ]


def throughput(rig: Rig, pairs: int, say: Callable[[str], None]) -> list[Row]:
    """Speed of a guarded backfill as a share of an unguarded one's, in pairs; which goes first alternates."""
    shares, asking = [], []
    with (
        rig.connect("migrator", "migration:speed") as connection,
        Migration(connection, "speed", poll=0.05, on_wait=lambda _: None) as migration,
    ):
        plain, _ = _backfill(connection, range(BATCHES))  # a first pass makes room for new row versions
        migration.checkpoint()  # being let in is no part of the speed
        for number in range(pairs):
            if number % 2:
                plain, _ = _backfill(connection, range(BATCHES))
            guarded, asked = _backfill(connection, migration.pace(range(BATCHES)))
            if not number % 2:
                plain, _ = _backfill(connection, range(BATCHES))
            shares.append(plain / guarded * 100)
            asking.append(asked / guarded * 100)
            if number % 10 == 9:
                say(f"{number + 1} of {pairs} pairs")
    note = f"pairs of {BATCHES} batches of {BATCH} rows; a batch takes {plain / BATCHES * 1000:.1f} ms"
    return [
        Row(
            "speed of a guarded backfill, of the unguarded one's",
            tuple(shares),
            "%",
            Bar(99.0, "median", least=True),
            note,
        ),
        Row("share of a guarded backfill's time between its batches", tuple(asking), "%", Bar(1.0, "median")),
    ]


def _backfill(connection: Connection, batches: Iterable[int]) -> tuple[float, float]:
    """Seconds in all, and those between the batches."""
    began, working = time.perf_counter(), 0.0
    for number in batches:
        begins = time.perf_counter()
        connection.execute(
            "update items set n = n + 1 where id > %s and id <= %s", [number * BATCH, (number + 1) * BATCH]
        )
        working += time.perf_counter() - begins
    took = time.perf_counter() - began
    return took, took - working


def _median(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(BLOCK):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return sorted(taken)[BLOCK // 2]
