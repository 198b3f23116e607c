"""serve as a process, and what status, explain and wait then say of it."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.command import command
from tests.fix_postgres import Database
from tests.shipped import as_client, as_guard, as_operator
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance


@pytest.fixture
def config(tmp_path: Path, database: Database) -> str:
    """A configuration with one rule that breaches at once while somebody says so."""
    assert command("install", "--dsn", database.dsn()).code == 0
    path = tmp_path / "config.toml"
    path.write_text(
        f'[guard]\nid = "web1"\nstate_directory = "{tmp_path}/state"\npoll_interval = "200ms"\n'
        f'[database.main]\ndsn = "{as_guard(database.dsn())}"\nstandbys = ["replica1"]\n'
        '[[rule]]\nname = "replica lag"\nmetric = "replication.lag"\npause = "> 1h"\n'
    )
    path.chmod(0o600)
    return str(path)


@pytest.fixture
def daemon(config: str, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """``migration-guard serve``, until the end of the test."""
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "guard", "serve", "-c", config], stdout=log, stderr=log)
    yield process
    process.kill()
    process.wait()


def test_a_served_database_admits_a_run_and_is_seen_live_then_stopped(
    config: str, database: Database, daemon: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    wait_for(
        lambda: command("status", "-c", config).code == 0,
        within=20,
        message=f"status to show the guard; {(tmp_path / 'log').read_text()}",
    )
    operator = {"MIGRATION_GUARD_DSN": as_operator(database.dsn())}
    with psycopg.connect(as_client(database.dsn()), autocommit=True) as connection:
        connection.execute("select migration_guard.register('backfill')")
        waited = command("wait", "backfill", "--timeout", "20s", "--dsn", as_client(database.dsn()))
        assert waited.code == 0, waited.said + (tmp_path / "log").read_text()
        status = json.loads(command("status", "-c", config, "--json").out)["databases"][0]
        assert (status["guard"]["state"], status["guard"]["id"]) == ("live", "web1")
        assert [(run["migration"], run["told"]) for run in status["runs"]] == [("backfill", "proceed")]
        explained = command("explain", "backfill", "-c", config).out
        assert "told to proceed" in explained
        assert 'rule "replica lag": fine' in explained
        assert "limits: pause > 1h; goes on <= " in explained
        order = ("pause", "backfill", "--reason", "lunch", "--owner", "ann")
        assert "must be a member of migration_guard_operator" in command(*order, "-c", config).err
        assert command(*order, environment=operator).code == 0
        assert "by ann: lunch" in command("explain", "-c", config).out
        assert "leads this database" in command("uninstall", "--yes", "--dsn", database.dsn()).err
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(10) == 0
    ended = command("status", "-c", config)
    assert (ended.code, "guard web1 was stopped" in ended.out) == (3, True), ended.said


def test_serve_with_a_wrong_file_exits_2_and_says_where_it_is_wrong(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[database.main]\ndsn = 5\nstandbys = []\n")
    ended = command("serve", "-c", str(wrong))
    assert (ended.code, f"{wrong}:2:" in ended.err, "Traceback" in ended.err) == (2, True, False), ended.said
