"""The samples of rollback hooks, each as its own page says: rehearsed, run, and run once more."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from guard.act.rollback_hook import RollbackHook
from guard.demo.embedded import Binaries
from guard.ports import HookOutcome
from tests.acceptance.house import ROOT
from tests.command import command
from tests.fix_http import Endpoint, answer
from tests.fix_postgres import Database
from tests.tools import tool

pytestmark = pytest.mark.acceptance

EXAMPLES = ROOT / "examples"


class Sample:
    """One of them, under a configuration."""

    def __init__(self, directory: Path, words: list[str], variables: tuple[str, ...] = ()) -> None:
        self._directory, self._words, self._variables = directory, words, variables
        self._runs = 0
        self.file = directory / "guard.toml"
        rollback = f"command = {json.dumps(words)}\nenvironment = {json.dumps(['PATH', *variables])}"
        self.file.write_text(f'[database.main]\ndsn = "dbname=x"\nstandbys = []\n[rollback]\n{rollback}\n')

    def rehearse(self) -> tuple[int, str]:
        """By the command."""
        ended = command("rollback", "m", "--rehearse", "-c", str(self.file))
        return ended.code, ended.said

    def roll_back(self) -> HookOutcome:
        """As the guard runs it: another run each time."""
        self._runs += 1
        hook = RollbackHook(
            self._words, timeout=60.0, state_directory=self._directory, environment=("PATH", *self._variables)
        )
        assert hook.check() == ()
        return asyncio.run(hook.run({"run_id": self._runs, "migration": "m", "because": "a test"}))


def test_a_deploy_flag_is_read_in_a_rehearsal_and_switched_off_and_read_again_in_earnest(
    tmp_path: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool("curl")
    flag = {"enabled": True}
    broken = False

    def reply(client: Any) -> None:
        request = endpoint.requests[-1]
        if request.startswith("PUT") and not broken:
            flag["enabled"] = False
        allowed = "authorization: bearer s3cret" in request.lower()
        client.sendall(answer(json.dumps(flag).encode(), status=200 if allowed else 401))

    endpoint.reply = reply
    header = tmp_path / "header"
    header.write_text("Authorization: Bearer s3cret\n")
    monkeypatch.setenv("FLAGS_HEADER_FILE", str(header))
    sample = Sample(tmp_path, [str(EXAMPLES / "rollback-flag.sh"), f"{endpoint.url}/f"], ("FLAGS_HEADER_FILE",))
    code, said = sample.rehearse()
    assert (code, flag, '{"enabled": true}' in said) == (0, {"enabled": True}, True), said
    broken = True
    outcome = sample.roll_back()
    assert (outcome.ok, "is not off" in outcome.output) == (False, True), outcome
    broken = False
    for _ in range(2):
        outcome = sample.roll_back()
        assert (outcome.ok, flag) == (True, {"enabled": False}), outcome
    header.write_text("Authorization: Bearer other\n")
    code, said = sample.rehearse()
    assert (code, "401" in said) == (5, True), said


def test_down_sql_takes_a_change_of_drizzle_back_and_a_rehearsal_does_not(
    tmp_path: Path, database: Database, binaries: Binaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(binaries.path('psql')).parent}{os.pathsep}{os.environ['PATH']}")
    database.execute("create table customer (id int primary key, region text); create schema drizzle")
    database.execute("create table drizzle.__drizzle_migrations (id serial, hash text, created_at bigint)")
    database.execute(
        "insert into drizzle.__drizzle_migrations (hash, created_at) values ('a', 1), ('b', 1767225600000)"
    )
    there = "select attname from pg_attribute where attrelid = 'customer'::regclass and attname = 'region'"
    history = "select hash from drizzle.__drizzle_migrations order by id"
    down = tmp_path / "the way down.sql"
    shutil.copy(EXAMPLES / "rollback-drizzle.sql", down)
    sample = Sample(tmp_path, [str(EXAMPLES / "rollback-sql.sh"), database.dsn(), str(down)])
    code, said = sample.rehearse()
    assert (code, len(database.execute(there)), len(database.execute(history))) == (0, 1, 2), said
    with database.connect() as reader:
        # Somebody reads the table for longer than the hook waits for it at one time.
        reader.execute("begin; select from customer")
        reader.execute("set idle_in_transaction_session_timeout = '2500ms'")
        outcome = sample.roll_back()
        assert (outcome.ok, "waited for a lock in vain" in outcome.output) == (True, True), outcome
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
            reader.execute("select 1")
    assert (database.execute(there), database.execute(history)) == ([], [("a",)])
    assert sample.roll_back().ok
    down.write_text("insert into drizzle.__drizzle_migrations (hash) values ('c'); select 1 / 0;\n")
    outcome = sample.roll_back()
    assert (outcome.ok, "division by zero" in outcome.output) == (False, True), outcome
    assert database.execute(history) == [("a",)]


REVISION = """
from alembic import op
revision, down_revision = {revision!r}, {down!r}
def upgrade(): op.execute({up!r})
def downgrade(): op.execute({undo!r})
"""
ENV = """
import os
from alembic import context
from sqlalchemy import create_engine
url = os.environ["SHOP_URL"]
if context.is_offline_mode():
    context.configure(url=url)
    with context.begin_transaction():
        context.run_migrations()
else:
    with create_engine(url).connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
"""


@pytest.fixture
def alembic(tmp_path: Path) -> Path:
    """A project of two revisions; its alembic.ini."""
    project = tmp_path / "shop"
    (project / "versions").mkdir(parents=True)
    (project / "env.py").write_text(ENV)
    (project / "alembic.ini").write_text(f"[alembic]\nscript_location = {project}\n")
    for revision, down, up, undo in (
        ("a1", None, "create table customer (id int)", "drop table customer"),
        ("b2", "a1", "alter table customer add region text", "alter table customer drop region"),
    ):
        text = REVISION.format(revision=revision, down=down, up=up, undo=undo)
        (project / "versions" / f"{revision}.py").write_text(text)
    return project / "alembic.ini"


def test_alembic_goes_back_one_revision_once_and_a_rehearsal_prints_what_it_would_do(
    tmp_path: Path, alembic: Path, database: Database, monkeypatch: pytest.MonkeyPatch, run_alembic: Callable[..., None]
) -> None:
    server = database.server
    url = f"postgresql+psycopg://postgres:{server.password}@127.0.0.1:{server.port}/{database.name}"
    monkeypatch.setenv("SHOP_URL", url)
    run_alembic(alembic, "upgrade", "head")
    words = [str(EXAMPLES / "rollback-alembic.sh"), str(alembic), "b2", "a1"]
    sample = Sample(tmp_path, words, ("SHOP_URL",))
    version = "select version_num from alembic_version"
    code, said = sample.rehearse()
    assert (code, "alter table customer drop region" in said) == (0, True), said
    assert database.execute(version) == [("b2",)]
    outcome = sample.roll_back()
    assert outcome.ok, outcome
    columns = (
        "select attname from pg_attribute where attrelid = 'customer'::regclass and attnum > 0 and not attisdropped"
    )
    assert (database.execute(version), database.execute(columns)) == ([("a1",)], [("id",)])
    outcome = sample.roll_back()
    assert (outcome.ok, "already at a1" in outcome.output) == (True, True), outcome
    database.execute("delete from alembic_version")
    outcome = sample.roll_back()
    assert (outcome.ok, "a human must look" in outcome.output) == (False, True), outcome


@pytest.fixture
def run_alembic(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs alembic, which is found on PATH from now on."""
    pytest.importorskip("alembic")
    programs = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")

    def run(ini: Path, *words: str) -> None:
        subprocess.run([programs / "alembic", "-c", ini, *words], check=True, capture_output=True)

    return run


def test_what_the_samples_say_of_the_configuration_is_toml(tmp_path: Path) -> None:
    for sample in EXAMPLES.glob("rollback-*.sh"):
        lines = [line.removeprefix("#   ") for line in sample.read_text().splitlines() if line.startswith("#   ")]
        if lines[0].startswith("["):
            file = tmp_path / f"{sample.stem}.toml"
            file.write_text("\n".join(lines))
            section = tomllib.loads(file.read_text())
            assert sample.name in str(section)
