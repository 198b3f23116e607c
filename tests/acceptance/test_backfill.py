"""migration-guard backfill as people run it: killed, stopped and paused at any moment, it changes each row once."""

import json
import random
import signal
import sys
import time
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.acceptance.conftest import Alone
from tests.acceptance.house import FRESH_FOR, NOISE, House, Process
from tests.acceptance.pooler import pgbouncer
from tests.command import command
from tests.tools import tool
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance

ROWS = 30_000
SLOWLY = "v = v + 1 + (select length(pg_sleep(0.02)::text))"
"""Counts how often a row was changed; each batch takes a moment."""
DONE = "select coalesce(sum(rows_done), 0) from migration_guard.backfill"


class Backfill:
    """The same command, run again and again."""

    def __init__(self, house: House, *more: str) -> None:
        self._house, self._runs = house, 0
        self._command = [sys.executable, "-m", "guard", "backfill", "fill", "--dsn", house.database.dsn("migrator")]
        self._command += ["--table", "t", "--set", SLOWLY, "--max-batch", "250", *more]

    def start(self) -> Process:
        self._runs += 1
        process = Process(self._command, self._house.directory / f"backfill{self._runs}.out")
        self._house.processes.append(process)
        return process

    def rows(self) -> int:
        return int(self._house.database.execute(DONE)[0][0])

    def wait_rows(self, process: Process, more: int = 1) -> None:
        """Wait until it has changed some more: this process, and not what a killed one has left under way."""
        query = "select count(*) from migration_guard.run where migration = 'fill'"
        wait_for(lambda: self._house.database.execute(query)[0][0] >= self._runs, within=20, message=process.text)
        before = self.rows()
        wait_for(lambda: self.rows() >= before + more, within=20, message=lambda: process.text()[-2000:])

    def assert_each_row_once(self) -> None:
        found = self._house.database.execute("select count(*), sum(v), min(v), max(v) from t")
        assert found == [(ROWS, ROWS, 1, 1)]


@pytest.fixture
def rng() -> random.Random:
    """Random moments; the seed is in the report of a failure."""
    seed = random.randrange(10**6)  # noqa: S311 -- not a secret
    print(f"seed {seed}")
    return random.Random(seed)  # noqa: S311 -- not a secret


@pytest.mark.fault(59)
def test_killed_and_stopped_again_and_again_and_its_guard_too_it_changes_each_row_once(
    house: House, rng: random.Random
) -> None:
    daemon = house.serve()
    backfill = Backfill(house)
    for number in range(3):
        process = backfill.start()
        backfill.wait_rows(process)
        time.sleep(rng.uniform(0.0, 0.3))
        if number == 1:
            daemon.kill()
            house.serve(wait=False)
        if number < 2:
            process.kill()
            continue
        process.send(signal.SIGTERM)
        assert process.wait() == 75
        assert "the same command goes on where it stopped" in process.text()
    assert 0 < backfill.rows() < ROWS
    last = backfill.start()
    assert last.wait(60) == 0, last.text()
    assert f"done: {ROWS:,} rows changed in " in last.text()
    backfill.assert_each_row_once()
    again = backfill.start()
    assert again.wait() == 0
    assert "It had ended before" in again.text()
    backfill.assert_each_row_once()


@pytest.mark.fault(18)
def test_a_primary_that_is_killed_under_it_is_connected_to_anew_by_itself(alone: Alone, rng: random.Random) -> None:
    house, cluster = alone()
    house.serve()
    backfill = Backfill(house, "--json")
    process = backfill.start()
    for _ in range(2):
        backfill.wait_rows(process)
        time.sleep(rng.uniform(0.0, 0.3))
        cluster.primary.restart("immediate")
    assert process.wait(60) == 0, process.text()
    lines = [json.loads(line) for line in process.text().splitlines() if line.startswith("{")]
    assert any("goes on where it stopped" in line.get("words", "") for line in lines)
    assert (lines[-1]["event"], lines[-1]["outcome"], lines[-1]["rows"]) == ("ended", "done", ROWS)
    backfill.assert_each_row_once()


def test_paused_it_does_nothing_and_holds_nothing_and_goes_on_with_the_guards_word(house: House) -> None:
    house.serve()
    backfill = Backfill(house)
    process = backfill.start()
    backfill.wait_rows(process)
    house.load(9)
    paused = house.wait_event("paused")
    wait_for(lambda: time.time() > paused[1] + FRESH_FOR + 1.0 + NOISE)  # a batch that had begun may end
    before = backfill.rows()
    look = """select a.state, a.backend_xmin, (select count(*) from pg_locks l where l.pid = a.pid
                and l.locktype <> 'advisory' and l.locktype <> 'virtualxid')
              from pg_stat_activity a where application_name = 'migration:fill' and state = 'idle'"""
    for _ in range(5):
        assert wait_for(lambda: house.database.execute(look)) == [("idle", None, 0)]
    wait_for(lambda: time.time() > paused[1] + 3)
    assert backfill.rows() == before
    assert "migration fill waits: " in process.text()
    house.load(0)
    assert process.wait(60) == 0, process.text()
    backfill.assert_each_row_once()
    house.assert_all_told()


@pytest.mark.fault(28)
def test_behind_a_transaction_pooler_it_does_the_same_and_leaves_nothing_behind(house: House, open_tmp: Path) -> None:
    house.serve()
    with pgbouncer(tool("pgbouncer"), house.database.server, open_tmp, "transaction") as port:
        backfill = Backfill(house, "--dsn", make_conninfo(house.database.dsn("migrator"), port=port))
        process = backfill.start()
        assert process.wait(60) == 0, process.text()
        backfill.assert_each_row_once()
        with psycopg.connect(make_conninfo(house.database.dsn("migrator"), port=port), autocommit=True) as other:
            shown = [
                other.execute(f"show {name}".encode()).fetchone() for name in ("lock_timeout", "statement_timeout")
            ]
        assert shown == [("0",), ("0",)]
    assert house.database.execute("select pooled, outcome from migration_guard.run") == [(True, "done")]


def test_a_dry_run_and_what_is_wrong_are_told_with_their_exit_codes(house: House) -> None:
    aim = ["backfill", "fill", "--dsn", house.database.dsn("migrator"), "--table", "t"]
    house.database.execute("analyze t")
    shown = command(*aim, "--set", "v = 1", "--where", "v = 0", "--dry-run")
    assert shown.code == 0, shown.err
    assert "about 30,000 rows" in shown.out
    assert "Index" in shown.out
    assert shown.out.endswith("Nothing was changed.\n")
    assert command(*aim, "--set", "v = 1", "--key", "v").code == 3
    assert command(*aim, "--set", "v = 1", "--on-guard-lost", "fail").code == 75
    assert house.database.execute("select sum(v) from t") == [(0,)]
