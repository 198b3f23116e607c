"""docs/production.md on a real primary and standby: its roles suffice, its file is right, a reload ends observing.

The Python of every page is then run under the guard that the page has brought about.
"""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from guard.act.install import install
from guard.client import Migration
from guard.demo.embedded import Cluster
from tests.acceptance.processes import Process
from tests.command import command
from tests.fix_postgres import Database, MakeRole
from tests.pages import ROOT, blocks, blocks_of
from tests.slack_server import SlackServer
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance

PAGE = ROOT / "docs" / "production.md"
ROLE = "migration_guard"
QUICKER = 'poll_interval = "200ms"\nidle_interval = "500ms"\n'
CUSTOMERS = """
create table customers (id int primary key, region text);
insert into customers select n, null from generate_series(1, 500) n;
grant select, update on customers to migrator;
"""


def block(language: str) -> list[str]:
    return [each.text for each in blocks_of(PAGE) if each.language == language and not each.not_run]


@pytest.fixture
def granted(database: Database, make_role: MakeRole) -> Iterator[Database]:
    """A database in which a DBA has done what the page says."""
    install(database.dsn())
    make_role("migrator")
    make_role("anna")
    for text in block("sql"):
        database.execute(text.encode())
    password = sql.Literal(database.server.password)
    database.execute(sql.SQL("alter role migration_guard password {}").format(password))
    yield database
    database.execute("revoke pg_monitor, pg_signal_backend from migration_guard_guard")
    database.execute("drop role migration_guard")


def written(directory: Path, database: Database, slack: SlackServer) -> Path:
    """The page's file, its secrets beside it, with the one standby that there is, and a state directory of its own."""
    for name, text in (("db1-password", database.server.password), ("slack-webhook", slack.url)):
        (directory / name).touch(mode=0o600)
        (directory / name).write_text(text)
    file = directory / "config.toml"
    text = block("toml")[0].replace("/etc/migration-guard", str(directory)).replace(', "replica2"', "")
    text = text.replace("/var/lib/migration-guard", str(directory / "state"))
    address = f"host=127.0.0.1 port={database.server.port} dbname={database.name} user={ROLE}"
    file.write_text(
        text.replace("[guard]", f"[guard]\n{QUICKER}").replace("host=db1 dbname=app user=migration_guard", address)
    )
    return file


def test_what_the_page_says_is_enough_to_observe_then_to_enforce_and_for_the_python_of_every_page(
    granted: Database, cluster: Cluster, slack: SlackServer, tmp_path: Path
) -> None:
    file = written(tmp_path, granted, slack)
    cluster.wait_streaming()
    checked = command("check", "-c", str(file), "--json")
    assert checked.code == 0, checked.said
    wrong = [each for each in json.loads(checked.out) if each["grade"] != "fine"]
    assert wrong == [], "the page leaves something to be done"
    daemon = Process([sys.executable, "-m", "guard", "serve", "-c", str(file)], tmp_path / "daemon.log")
    try:
        daemon.wait_says("guarding main", within=20)
        assert state_of(granted) == "observing"
        file.write_text(re.sub(r"^mode .*\n", "", file.read_text(), flags=re.MULTILINE))
        daemon.send(signal.SIGHUP)
        # Nobody migrates: one that enforces rests.
        wait_for(lambda: state_of(granted) == "dormant", within=20, every=0.3, message=daemon.text)
        run_python(granted)
    finally:
        daemon.close()


def run_python(database: Database) -> None:
    """Each block of Python on any page, as it stands there, with a connection and some batches."""
    database.execute(CUSTOMERS)
    found = [each for each in blocks("python") if not each.file and not each.not_run]
    assert len(found) >= 4
    for each in found:
        with psycopg.connect(database.dsn("migrator"), autocommit=True) as connection:
            seen: list[int] = []
            given = {"connection": connection, "batches": noting(seen), "Migration": Migration}
            try:
                exec(compile(each.text, str(each), "exec"), given)  # noqa: S102 -- our own pages
            except Exception as wrong:
                raise AssertionError(f"{each}: {wrong!r}") from wrong
            assert len(seen) == 3 or "batches" not in each.text, f"{each}: not every batch was done"
    assert database.execute("select count(*) from customers where region is null") == [(0,)]
    ended = database.execute("select migration, outcome from migration_guard.run order by run_id")
    assert {outcome for _, outcome in ended} == {"done"}
    assert {"backfill-email", "fill-region"} <= {name for name, _ in ended}


def noting(seen: list[int]) -> Iterator[list[int]]:
    """Three batches, and whether each was fetched."""
    for number in range(3):
        seen.append(number)
        yield [number]


def state_of(database: Database) -> str:
    """What `status` says of the guard to an operator."""
    said = command("status", "--json", environment={"MIGRATION_GUARD_DSN": database.dsn("anna")})
    return str(json.loads(said.out)["databases"][0]["guard"]["state"])
