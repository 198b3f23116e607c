"""docs/recipes/drizzle.md as it is written, with the real Drizzle Kit, npm and pnpm, beside the real guard.

What is believed is what the server says: schema, history, sessions and their locks; of `exec` its code and its words.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.beside import Beside, Running
from tests.acceptance.house import LEASE
from tests.fix_matrix import Took
from tests.fix_sessions import Background
from tests.recipes import Recipe, recipe
from tests.waiting import wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(180)]

NAME = "shop"
BASELINE = "0000_shop"
TABLES = ("users", "orders")
FRESH = (
    "drop schema public cascade",
    "drop schema if exists drizzle cascade",
    "create schema public",
    "grant all on schema public to migrator",
    "grant usage on schema public to shop",
    "delete from migration_guard.run",
)
SCHEMA = """
    select table_name || '.' || column_name from information_schema.columns
    where table_schema = 'public' and column_name = 'note'
    union all select indexname from pg_indexes where indexname = 'users_email' order by 1
"""
APPLIED = [("orders.note",), ("users_email",)]
HALF = [("orders.note",)]
"""What push commits before it comes to the index."""
WRITES = ("update users set email = 'b' where id = 2", "update users set email = 'b' where id = 3")
SESSIONS = """
    select a.pid, a.state, a.wait_event_type = 'Lock', a.backend_xmin is not null,
           (select count(*) from pg_locks l where l.pid = a.pid and l.locktype = 'relation' and l.granted
               and l.relation = any (select oid from pg_class where relnamespace = 'public'::regnamespace))
    from pg_stat_activity a
    where a.usename = 'migrator' and a.datname = current_database() and a.application_name = 'migration:shop'
      and not exists (select from migration_guard.run r where r.pid = a.pid and r.ended_at is null)
"""


@dataclass
class Shop:
    """The project, its database as it is before the migration, and one application that is in the way."""

    beside: Beside
    project: Path
    page: Recipe

    def run(self, script: str, **options: str) -> Running:
        """Start a script of the page; *options* are more of `exec`'s, since its waits are for people."""
        given = {"backoff": "300ms..1s", "lock_timeout": "60s", "grace": "300ms"} | options
        words = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in given.items())
        program = self.project / "bin" / "migration-guard"
        program.write_text(
            f'#!/bin/sh\nshift\necho $$ > {self.project}/pid\nexec {sys.executable} -m guard exec {words} "$@"\n'
        )
        program.chmod(0o755)
        return self.beside.run(
            self.page,
            *("sh", "-eu", script),
            PATH=f"{program.parent}{os.pathsep}{os.environ['PATH']}",
            PYTHONPATH=str(Path(__file__).parents[2]),
            DATABASE_URL=self.url,
        )

    def kill(self) -> None:
        """SIGKILL to `exec` itself, and to nothing that it has started."""
        os.kill(int((self.project / "pid").read_text()), signal.SIGKILL)

    @property
    def url(self) -> str:
        server = self.beside.database.server
        return f"postgresql://migrator:{server.password}@127.0.0.1:{server.port}/{self.beside.database.name}"

    # -- what the server says ------------------------------------------------------------------------------------------

    def sessions(self) -> list[Any]:
        """(pid, state, waits for a lock, has a snapshot, tables locked) of each session of the tool."""
        return self.beside.database.execute(SESSIONS)

    def wait_in_queue(self, but: int = 0) -> int:
        """Wait until the tool waits for a lock; its session."""
        waiting = lambda: [row[0] for row in self.sessions() if row[2] and row[0] != but]  # noqa: E731
        return int(wait_for(waiting, within=40, message=lambda: f"a session in a queue: {self.said()}")[0])

    def wait_none_left(self) -> None:
        """Wait until no session of the migration is there, nor any of its role."""
        query = "select pid, application_name, state from pg_stat_activity where usename = 'migrator'"
        wait_for(
            lambda: not self.beside.database.execute(query),
            within=20,
            message=lambda: f"nobody: {self.beside.database.execute(query)}",
        )

    def wait_nothing_held(self) -> None:
        """Wait until no session of the tool is at work or holds anything."""
        wait_for(
            lambda: not [row for row in self.sessions() if row[1] != "idle" or row[3] or row[4]],
            within=20,
            message=lambda: f"nothing of it: {self.sessions()}; {self.said()}",
        )

    def assert_rests(self, lasting: float = 1.0) -> None:
        """For that long nothing of it is at work or holds anything."""
        end = time.monotonic() + lasting
        while time.monotonic() < end:
            assert [row for row in self.sessions() if row[1] != "idle" or row[3] or row[4]] == []
            time.sleep(0.05)

    def applied(self) -> list[Any]:
        return self.beside.database.execute(SCHEMA)

    def history(self) -> int:
        return int(self.beside.database.execute("select count(*) from drizzle.__drizzle_migrations")[0][0])

    def said(self) -> str:
        return "\n".join(running.text()[-3000:] for running in self.beside.running)

    @contextlib.contextmanager
    def writer(self) -> Iterator[psycopg.Connection[Any]]:
        """An application that has written to `users` and does not end its transaction."""
        with self.beside.database.connect("shop") as connection:
            connection.execute("begin; update users set email = 'a' where id = 1")
            yield connection
            connection.execute("rollback")


@pytest.fixture
def shop(guarded: Beside, tmp_path: Path, drizzle: Callable[[], Path], pnpm: Path) -> Iterator[Shop]:
    """The project with its database at the first migration."""
    project = drizzle()
    (project / "bin").mkdir()
    (project / "bin" / "pnpm").symlink_to(pnpm)
    guarded.directory, guarded.running = project, []
    guarded.well()
    if not guarded.house.processes[-1].child.running:  # a test that has failed in between
        guarded.house.serve()
    for statement in FRESH:
        guarded.database.execute(statement.encode())
    first = (project / "drizzle" / f"{BASELINE}.sql").read_text()
    when = json.loads((project / "drizzle" / "meta" / "_journal.json").read_text())["entries"][0]["when"]
    with guarded.database.connect("migrator") as owner:
        for statement in first.split("--> statement-breakpoint"):
            owner.execute(statement.encode())
        owner.execute("insert into users select g, 'User' || g || '@Example.org' from generate_series(1, 100) g")
        owner.execute("grant select, update on users, orders to shop")
    guarded.database.execute(b"grant create on database " + guarded.database.name.encode() + b" to migrator")
    with guarded.database.connect("migrator") as owner:
        owner.execute("create schema drizzle")
        owner.execute(
            "create table drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint)"
        )
        owner.execute(
            "insert into drizzle.__drizzle_migrations (hash, created_at) values (%s, %s)",
            [hashlib.sha256(first.encode()).hexdigest(), when],
        )
    yield Shop(guarded, project, recipe("drizzle"))
    guarded.close()


def test_migrate_is_taken_back_for_a_pause_holds_nothing_and_is_run_again_whole(shop: Shop, took: Took) -> None:
    house = shop.beside.house
    with shop.writer():
        running = shop.run("migrate.sh")
        shop.wait_in_queue()
        assert [row[4] for row in shop.sessions()] != [0], "it holds the other table meanwhile"
        house.load(9)
        paused = shop.beside.wait_event("paused", NAME)
        shop.wait_nothing_held()
        took(time.time() - paused)
        shop.beside.wait_event("effective", NAME)
    shop.assert_rests()
    assert (shop.applied(), shop.history()) == ([], 1)
    house.load(0)
    running.ends()
    assert (shop.applied(), shop.history()) == (APPLIED, 3)
    assert shop.beside.outcomes(NAME) == ["done"]


@pytest.mark.fault(33)
def test_push_that_a_queue_forms_behind_is_cancelled_and_completes_when_the_blocker_is_gone(
    shop: Shop, background: Callable[[str, str], Background], took: Took
) -> None:
    database = shop.beside.database
    with shop.writer() as writer:
        running = shop.run("push.sh")
        shop.wait_in_queue()
        assert shop.applied() == HALF
        queued = time.time()
        waiting = [background(database.dsn("shop"), statement) for statement in WRITES]
        for each in waiting:
            each.wait(20)
            assert each.error is None
        took(time.time() - queued)
        shop.beside.wait_event("cancelled", NAME)
        assert writer.execute("select 1").fetchall() == [(1,)]
    running.ends()
    assert shop.applied() == APPLIED
    assert shop.beside.outcomes(NAME) == ["done"]
    assert "57014" in running.text()
    assert "[✓] Changes applied" in running.text()


def test_nothing_of_push_commits_after_a_kill_of_its_wrapper(shop: Shop) -> None:
    with shop.writer():
        shop.run("push.sh")
        shop.wait_in_queue()
        shop.kill()
        shop.wait_none_left()
    assert shop.applied() == HALF


def test_migrate_is_held_while_there_is_no_guard_and_completes_under_the_next_one(shop: Shop) -> None:
    house = shop.beside.house
    with shop.writer():
        running = shop.run("migrate.sh")
        first = shop.wait_in_queue()
        house.processes[-1].kill()
        wait_for(lambda: not shop.sessions(), within=LEASE + 20, message=shop.said)
        shop.assert_rests()
        house.serve()
        shop.wait_in_queue(but=first)
        assert (shop.applied(), shop.history()) == ([], 1)
    running.ends()
    assert (shop.applied(), shop.history()) == (APPLIED, 3)
    assert shop.beside.outcomes(NAME) == ["done"]


def test_migrate_that_is_terminated_and_gets_no_lock_gives_up_and_says_what_drizzle_does_not(shop: Shop) -> None:
    with shop.writer() as writer:
        running = shop.run("migrate.sh", lock_timeout="4s", tries="2")
        shop.beside.database.execute("select pg_terminate_backend(%s)", [shop.wait_in_queue()])
        running.ends(75)
        ours = [line for line in running.text().splitlines() if "migration-guard: " in line]
        assert [line for line in ours if "try 1 of 2 did not get through: the end of its connection" in line]
        assert "55P03" in ours[-1]
        assert str(writer.info.backend_pid) in ours[-1]
        shop.wait_none_left()
    assert (shop.applied(), shop.history()) == ([], 1)
    assert shop.beside.outcomes(NAME) == ["failed"]
