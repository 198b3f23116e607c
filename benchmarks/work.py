"""What the guard costs a migration: a checkpoint against SELECT 1, and a guarded backfill against an unguarded one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from benchmarks.rig import Connection, Rig
from benchmarks.table import Bar, Row
from guard.client import Migration

BATCH, BATCHES = 1000, 200
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
    shares, plain = [], 0.0
    with rig.connect("migrator", "migration:speed") as connection:
        _backfill(connection, range(BATCHES))  # a first pass makes room for new row versions
        for number in range(pairs):
            if number % 2:
                plain = _backfill(connection, range(BATCHES))
                guarded = _guarded(connection)
            else:
                guarded = _guarded(connection)
                plain = _backfill(connection, range(BATCHES))
            shares.append(plain / guarded * 100)
            if number % 5 == 4:
                say(f"{number + 1} of {pairs} pairs")
    what = f"speed of a guarded backfill, {BATCHES} batches of {BATCH} rows, of the unguarded one's"
    return [Row(what, tuple(shares), "%", Bar(99.0, "median", least=True), f"a batch takes {_batch_ms(plain):.1f} ms")]


def _guarded(connection: Connection) -> float:
    with Migration(connection, "speed", poll=0.05, on_wait=lambda _: None) as migration:
        migration.checkpoint()  # being let in is no part of the speed
        return _backfill(connection, migration.pace(range(BATCHES)))


def _backfill(connection: Connection, batches: Iterable[int]) -> float:
    began = time.perf_counter()
    for number in batches:
        connection.execute(
            "update items set n = n + 1 where id > %s and id <= %s", [number * BATCH, (number + 1) * BATCH]
        )
    return time.perf_counter() - began


def _batch_ms(seconds: float) -> float:
    return seconds / BATCHES * 1000


def _median(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(BLOCK):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return sorted(taken)[BLOCK // 2]
