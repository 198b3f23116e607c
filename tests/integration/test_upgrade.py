"""Installing over the first version: in place, while a guard leads and migrations run, whole or not at all."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from guard.act.install import PROTOCOL, VERSION, install, install_sql
from guard.client import FenceRefused, Migration
from guard.demo.embedded import Binaries
from guard.errors import QueryFailed
from tests.fix_postgres import Database, Row
from tests.shipped import as_client, as_guard
from tests.version_one import OldClient, OldGuard, again_and_again, install_version_one
from tests.waiting import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.fault(70)]

STAMP = "select version, protocol from migration_guard.installation"
NEW = [(VERSION, PROTOCOL)]
HAS_FENCES = "select to_regclass('migration_guard.fence') is not null"
TABLES = (
    "select relname from pg_class where relnamespace = 'migration_guard'::regnamespace and relkind = 'r' order by 1"
)
NOISE = 1.0
"""What a busy machine may add to a statement that nobody holds up, in seconds."""


@pytest.fixture
def old(database: Database) -> Database:
    install_version_one(database)
    return database


def rows(database: Database) -> dict[str, list[Row]]:
    """Every row that the first version's tables hold, but for the stamp."""
    tables = [name for (name,) in database.execute(TABLES) if name not in {"installation", "fence", "backfill"}]
    query = sql.SQL("select t::text from migration_guard.{} t order by 1")
    return {name: database.execute(query.format(sql.Identifier(name))) for name in tables}


def by_hand(binaries: Binaries, database: Database) -> subprocess.CompletedProcess[str]:
    psql = [binaries.path("psql"), "-q", "-v", "ON_ERROR_STOP=1", database.dsn()]
    return subprocess.run(psql, input=install_sql(), capture_output=True, text=True, check=False)


def test_an_upgrade_by_program_and_by_hand_makes_what_a_new_installation_makes(
    old: Database, make_database: Callable[..., Database], binaries: Binaries
) -> None:
    hand, fresh = make_database(), make_database()
    install_version_one(hand)
    install(fresh.dsn())
    assert install(old.dsn()).upgraded_from == 1
    assert by_hand(binaries, hand).returncode == 0
    assert install(old.dsn()).upgraded_from is None
    assert by_hand(binaries, hand).returncode == 0
    dump = [binaries.path("pg_dump"), "--schema-only"]
    texts = [
        subprocess.run([*dump, d.dsn()], capture_output=True, text=True, check=True).stdout for d in (old, hand, fresh)
    ]
    upgraded, printed, new = ([line for line in text.splitlines() if "restrict" not in line] for text in texts)
    assert upgraded == printed == new
    assert [d.execute(STAMP) for d in (old, hand, fresh)] == [NEW, NEW, NEW]
    hand.execute("update migration_guard.installation set version = 99")
    refused = by_hand(binaries, hand)
    assert refused.returncode != 0
    assert "is of version 99, newer than this script" in refused.stderr
    assert hand.execute("select version from migration_guard.installation") == [(99,)]


def test_an_upgrade_keeps_every_row_and_holds_up_neither_the_guard_that_leads_nor_the_migrations(
    old: Database,
) -> None:
    guard, client = OldGuard(as_guard(old.dsn())), OldClient(as_client(old.dsn()), "old")
    stuck = old.connect()
    try:
        guard.publish({"old": client.run})
        client.batch()
        for order in ("order_pause('other', 'ana')", "order_override('old', 'bob')", "forget('gone', 'ana')"):
            old.execute(f"select migration_guard.{order}".encode())
        # Whoever has read and changed rows of a run, and does not end its transaction, is in nobody's way.
        stuck.execute("begin")
        stuck.execute(
            "select migration_guard.register('stuck'), migration_guard.require_proceed('old', %s)", [client.run]
        )
        stuck.execute("select * from migration_guard.event, migration_guard.lease")
        kept = rows(old)
        began = time.monotonic()
        assert install(old.dsn()).upgraded_from == 1
        assert time.monotonic() - began < 5
        assert rows(old) == kept
        stuck.execute("rollback")
        old.execute("update migration_guard.installation set version = 1")
        with (
            again_and_again(lambda: guard.publish({"old": client.run})) as beats,
            again_and_again(client.batch) as batches,
        ):
            for _ in range(5):
                batches_before = client.batches
                install(old.dsn())
                wait_for(lambda before=batches_before: client.batches > before + 2)  # type: ignore[misc]
        assert max(beats) < NOISE
        assert max(batches) < NOISE
        assert old.execute(STAMP) == NEW
        assert client.told() == "proceed"
        assert client.finish()
        assert old.execute("select outcome, rows_done from migration_guard.run where run_id = %s", [client.run]) == [
            ("done", 10 * client.batches)
        ]
    finally:
        stuck.close()
        client.close()
        guard.close()


def test_under_a_guard_of_the_first_version_a_new_client_migrates_and_gets_no_fence(old: Database) -> None:
    guard = OldGuard(as_guard(old.dsn()))
    install(old.dsn())
    try:
        with (
            psycopg.connect(as_client(old.dsn()), autocommit=True) as connection,
            Migration(connection, "new", poll=0.02) as migration,
            again_and_again(lambda: guard.publish({"new": migration.run_id})),
        ):
            assert list(migration.pace(range(3))) == [0, 1, 2]
            with pytest.raises(FenceRefused, match="Restart it with the newer program"):
                migration.fence("cut-over").__enter__()
    finally:
        guard.close()


def installing(database: Database, tmp_path: Path) -> subprocess.Popen[bytes]:
    """`migration-guard install` as a process; what it says goes to a file."""
    command = [sys.executable, "-m", "guard", "install", "--dsn", database.dsn()]
    with (tmp_path / "said").open("wb") as said:
        return subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env={**os.environ, "COLUMNS": "200"})


def test_an_upgrade_that_is_killed_in_the_middle_has_not_begun_and_one_that_waits_says_for_whom(
    old: Database, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    with old.connect(application_name="keeper") as keeper:
        keeper.execute("begin")
        keeper.execute("select * from migration_guard.installation for update")  # what an upgrade changes last
        words = f"pid {keeper.info.backend_pid} (postgres, keeper) holds RowShareLock on migration_guard.installation"
        killed = installing(old, tmp_path)
        half_way = """select count(*) from pg_stat_activity where wait_event_type = 'Lock'
                      and datname = current_database() and application_name = 'migration_guard/install'"""
        wait_for(lambda: old.execute(half_way) == [(1,)], within=20)
        killed.send_signal(signal.SIGKILL)
        killed.wait(10)
        assert old.execute(HAS_FENCES) == [(False,)]
        with pytest.raises(QueryFailed, match="lock timeout") as caught:
            install(old.dsn())
        assert words in str(caught.value)
        again = installing(old, tmp_path)
        wait_for(lambda: words in said.read_text(), within=20, message=said.read_text)
        keeper.execute("rollback")
    assert again.wait(20) == 0
    assert "upgraded from version 1; restart the guard with this program" in said.read_text()
    assert old.execute(HAS_FENCES) == [(True,)]
    assert old.execute(STAMP) == NEW


def test_two_upgrades_at_once_are_one_after_the_other(old: Database) -> None:
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(install, old.dsn(), patience=20) for _ in range(2)]
    assert {done.result().upgraded_from for done in both} == {1, None}
    assert old.execute(STAMP) == NEW
