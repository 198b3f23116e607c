"""`migration-guard backfill`: its speed against a plain loop without any guard, and what kills do to its rows."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from benchmarks.rig import PATIENT, Connection, Daemon, Rig
from benchmarks.table import Bar, Row
from guard.client.backfill import Definition, Hooks, Manner, Progress, run
from guard.demo.child import Child
from guard.demo.waiting import wait_for

BATCHES, KEYS = (1000, 10_000), 200_000
"""Sizes of batches, and the rows that are changed by turns."""
_PEOPLE = f"""
create table people (id bigint primary key, region text, note text not null) with (autovacuum_enabled = off);
insert into people select g, 'r' || g % 50, repeat('x', 150) from generate_series(1, {KEYS}) g;
create index on people (region);
alter table people owner to migrator;
"""  # noqa: S608
_SET = "region = 'r' || (substr(region, 2)::int + 1) % 50"
_UPDATE = f"update people set {_SET.replace('%', '%%')} where id > %s and id <= %s".encode()  # noqa: S608
_RANGE = "select max(id) from (select id from people where id > %s order by id limit %s) as batch"
VICTIMS = ("backfill", "backfill", "guard", "server")
MOST = 900.0
"""Seconds for the whole of the kills."""
_COUNTED = """
create table counted (id bigint primary key, n int not null default 0, note text not null);
alter table counted owner to migrator;
insert into counted select g, 0, repeat('x', 40) from generate_series(1, %s) g;
"""
_DONE = "select coalesce(sum(rows_done), 0)::bigint from migration_guard.backfill where migration = 'counted'"
_SAME = "select count(*) filter (where n = 1), count(*) filter (where n <> 1) from counted"

Say = Callable[[str], None]


def measure(pairs: int, say: Say) -> list[Row]:
    """The speed, on servers of its own."""
    with Rig() as rig, rig.daemon(1.0, PATIENT):
        return speed(rig, pairs, say)


def kills(keys: int, say: Say) -> list[Row]:
    """What kills do to *keys* rows, on servers of its own, since some are killed."""
    with Rig() as rig:
        return survive(rig, keys, say)


def speed(rig: Rig, pairs: int, say: Say) -> list[Row]:
    """In pairs on one connection, in batches of one size; which goes first alternates. To be let in is not counted."""
    rows = []
    rig.admin.execute(_PEOPLE)
    rig.admin.execute("vacuum analyze people")
    with rig.connect("migrator", "migration:speed") as connection:
        plain(connection, BATCHES[0])  # a first pass makes room for new row versions
        for batch in BATCHES:
            shares, ours = [], 0.0
            for number in range(pairs):
                before = plain(connection, batch) if number % 2 else 0.0
                ours = backfilled(connection, batch)
                shares.append((before or plain(connection, batch)) / ours * 100)
            say(f"{pairs} pairs of batches of {batch} rows")
            what = f"speed of a backfill in batches of {batch} rows, of a plain loop's without any guard"
            note = (
                f"{KEYS} rows with two indexes, {ours:.1f} µs a row; with its cursor, its verification and its pacing"
            )
            rows.append(Row(what, tuple(shares), "%", Bar(95.0, "median", least=True), note))
    return rows


def plain(connection: Connection, batch: int) -> float:
    """Microseconds a row of a loop that finds the next range by the key, and does nothing else but its batches."""
    connection.execute("vacuum people")
    began, after, rows = time.perf_counter(), 0, 0
    while True:
        ((upto,),) = connection.execute(_RANGE, [after, batch]).fetchall()
        if upto is None:
            return (time.perf_counter() - began) / rows * 1e6
        rows += connection.execute(_UPDATE, [after, upto]).rowcount
        after = upto


def backfilled(connection: Connection, batch: int) -> float:
    """Microseconds a row after the first batch."""
    ends: list[tuple[float, Progress]] = []
    hooks = Hooks(on_progress=lambda progress: ends.append((time.perf_counter(), progress)), on_wait=lambda _: None)
    connection.execute("vacuum people")
    manner = Manner(max_batch=batch, anew=True, poll=0.05)
    run(connection, "speed", Definition("people", set_=_SET), manner=manner, hooks=hooks)
    full = [(at, progress.rows) for at, progress in ends if progress.batch == batch]
    (began, first), (over, last) = full[0], full[-1]
    return (over - began) / (last - first) * 1e6


def survive(rig: Rig, keys: int, say: Say) -> list[Row]:
    """Kills of the backfill, the guard and the server at random moments while it changes *keys* rows."""
    say(f"making {keys:,} rows")
    with psycopg.connect(rig.dsn("postgres"), autocommit=True) as admin:
        admin.execute((_COUNTED % keys).encode())
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        kills = _Killing(rig, stack, keys).until_done(began + MOST, say)
    took = time.monotonic() - began
    with psycopg.connect(rig.dsn("postgres"), autocommit=True) as admin:
        ((once, otherwise),) = admin.execute(_SAME).fetchall()
    told = ", ".join(f"{kills.count(who)} of the {who}" for who in dict.fromkeys(VICTIMS))
    note = f"{once:,} changed exactly once in {took:.0f} s, through kills: {told}"
    return [Row(f"rows of {keys:,} not changed exactly once, through kills", (otherwise,), "", Bar(0, "max"), note)]


class _Killing:
    """One backfill that is started again as often as it is killed."""

    def __init__(self, rig: Rig, stack: contextlib.ExitStack, keys: int) -> None:
        self._rig, self._stack, self._keys = rig, stack, keys
        self._runs = self._seen = 0
        self._guard: Daemon = stack.enter_context(rig.daemon(1.0, PATIENT))

    def until_done(self, end: float, say: Say) -> list[str]:
        """Whom it has killed, in order."""
        kills: list[str] = []
        child = self._start()
        while time.monotonic() < end:
            self._wait_more(child)
            lives = random.uniform(0.0, max(0.3, self._keys / 1_000_000))  # noqa: S311 -- not a secret
            if len(kills) >= 8 + self._keys // 250_000:
                lives = end - time.monotonic()  # on a slow machine the kills would never let it come to its end
            if child.wait(lives) == 0:
                return kills
            who = random.choice(VICTIMS)  # noqa: S311 -- not a secret
            self._kill(who, child)
            kills.append(who)
            self._seen = self._done()
            say(f"killed the {who}; {self._seen:,} rows done")
            if not child.running:
                child.stop()
                child = self._start()
        raise RuntimeError(f"not done within {MOST:g} s:\n{child.tail()}")

    def _wait_more(self, child: Child) -> None:
        """Until it has changed more rows, or has ended."""
        wait_for(lambda: self._done() > self._seen or not child.running, within=60, message=child.tail)

    def _start(self) -> Child:
        self._runs += 1
        command = [sys.executable, "-m", "guard", "backfill", "counted", "--table", "counted", "--set", "n = n + 1"]
        environment = {
            "MIGRATION_GUARD_DSN": self._rig.dsn("migrator"),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        output = Path(self._rig.directory) / f"backfill{self._runs}.log"
        child = Child(command, output=output, environment=environment)
        self._stack.callback(child.stop)
        return child

    def _kill(self, who: str, child: Child) -> None:
        if who == "server":
            self._rig.primary.restart("immediate")
            return
        os.kill(child.pid if who == "backfill" else self._guard.child.pid, signal.SIGKILL)
        if who == "guard":
            self._guard = self._stack.enter_context(self._rig.daemon(1.0, PATIENT))
        else:
            child.wait(10)

    def _done(self) -> int:
        """Rows by its own account, as soon as the server answers."""

        def ask() -> list[tuple[int]]:
            with psycopg.connect(self._rig.dsn("postgres"), autocommit=True) as admin:
                return admin.execute(_DONE).fetchall()

        return wait_for(ask, within=30, ignoring=(psycopg.OperationalError,))[0][0]
