"""Names that mean to do harm are only names: in the database, the terminal, the log, Slack and the hook."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg import sql

from guard.cli.plain import plain
from tests.acceptance.house import QUEUE, House
from tests.command import command
from tests.fix_postgres import MakeRole
from tests.fix_sessions import Background
from tests.waiting import wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.fault(64)]

SQL = """x'"; drop table t; --"""
FORMAT = "%s %(x)s {0} $1 ${HOME} `id`"
SLACK = "<!channel> <@U1> *b* ```x``` <http://a|b>"
UNICODE = "läßt → 😀 \u202egnp.exe\u200b"
LONG = "n" * 200
OPTION = "--reason"
NAMES = [SQL, FORMAT, SLACK, UNICODE, LONG, OPTION]
RULE = SQL + SLACK
ESCAPES = "\nmain: all is well \x1b[2J\x1b[8m"
OWNER = "o'; drop table t; -- %s"


@pytest.fixture
def connect() -> Iterator[Callable[[str], psycopg.Connection[Any]]]:
    """``connect(dsn)``: a session that ends with the test."""
    with contextlib.ExitStack() as stack:

        def open_session(dsn: str) -> psycopg.Connection[Any]:
            return stack.enter_context(contextlib.closing(psycopg.connect(dsn, autocommit=True)))

        yield open_session


def at_a_terminal(*arguments: str) -> str:
    """What a command shows a person."""
    master, slave = pty.openpty()
    wide = {**os.environ, "COLUMNS": "500", "TERM": "xterm"}
    with os.fdopen(master, "rb", buffering=0) as shown:
        process = subprocess.Popen(
            [sys.executable, "-m", "guard", *arguments], stdin=slave, stdout=slave, stderr=slave, env=wide
        )
        os.close(slave)
        text = b""
        with contextlib.suppress(OSError):  # EIO: nobody has the other end any more
            while data := shown.read(65536):
                text += data
        assert process.wait(30) == 0
    return text.decode()


def toml(text: str) -> str:
    """As a TOML string."""
    return json.dumps(text, ensure_ascii=False)


RULES = f"""
[[rule]]
name     = {toml(RULE)}
http     = "{{url}}"
json     = "v"
pause    = "> 5"
resume   = "< 2 for 300ms"
"""


def tables(house: House) -> list[tuple[object, ...]]:
    """What there is in the database, and how many rows the application's table has."""
    query = (
        "select schemaname, tablename, tableowner from pg_tables where schemaname !~ '^pg_|^information' order by 1, 2"
    )
    return [*house.database.execute(query.encode()), *house.database.execute("select count(*) from t")]


def test_names_are_only_names_for_daemon_command_line_and_slack(
    house: House, make_role: MakeRole, connect: Callable[[str], psycopg.Connection[Any]]
) -> None:
    house.rules = RULES
    named = (SQL, FORMAT, SLACK, LONG, OPTION)
    house.more = "".join(f'[migration.{toml(name)}]\nsoak = "1m"\n' for name in named)
    before = tables(house)
    daemon = house.serve()
    sessions = [connect(house.database.dsn("migrator", application_name=name[:60])) for name in NAMES]
    for session, name in zip(sessions, NAMES, strict=True):
        session.execute("select migration_guard.register(%s)", [name])
    for name in NAMES:
        house.wait_order("proceed", name)
    for session, name in zip(sessions, NAMES, strict=True):
        session.execute("select migration_guard.progress(migration_guard.own_run(%s), 1, 1)", [name])
    house.load(9)
    for name in NAMES:
        assert house.wait_order("pause", name)["because"].startswith(RULE)
    sessions[-1].execute("select migration_guard.finish(%s, 'failed', %s)", [NAMES[-1], ESCAPES])
    operator = make_role("""op'"; drop role x; --""")
    house.database.execute(sql.SQL("grant migration_guard_operator to {}").format(sql.Identifier(operator)))
    environment = {"MIGRATION_GUARD_DSN": house.database.dsn(operator)}
    with ThreadPoolExecutor(2) as pool:
        asked = [
            pool.submit(command, *words, environment=environment)
            for words in (
                ["status"],
                ["override", "--reason", FORMAT, "--owner", OWNER, "--", SQL],
                ["mute", "--reason", SLACK, "--owner", OWNER, "--", RULE],
            )
        ]
    ended = [each.result() for each in asked]
    assert [each.code for each in ended] == [0] * len(ended), [each.said for each in ended]
    status = ended[0].out
    assert [name for name in NAMES[:-1] if plain(name) not in status] == []
    assert "\u202e" not in status
    assert house.wait_order("proceed", SQL)
    seen = at_a_terminal("runs", "--dsn", house.database.dsn(operator))
    assert "all is well ?[2J?[8m" in seen
    assert re.search("\u202e|\x1b\\[[28J]|^main: all", seen, re.MULTILINE) is None
    assert tables(house) == before
    house.assert_all_told()
    payloads = json.dumps([request.payload for request in house.slack.requests], ensure_ascii=False)
    assert "drop table t" in payloads
    assert re.search(r"<!channel|<@U1|<http|\u202e", payloads) is None
    assert "Traceback" not in daemon.text()


def test_a_lock_queue_behind_names_that_mean_harm_is_released_and_told(
    house: House, make_role: MakeRole, background: Callable[[str, str], Background]
) -> None:
    role = make_role("""mig'"; drop table t; -- %s""")
    house.rules, house.roles = QUEUE, json.dumps([role])
    table = sql.Identifier(SQL + FORMAT)
    for statement in ("create table {}()", "grant all on {} to {}"):
        house.database.execute(sql.SQL(statement).format(table, sql.Identifier(role)))
    before = tables(house)
    house.serve()
    lock = sql.SQL("lock table {}; select pg_sleep(60)").format(table).as_string()
    holder = background(house.database.dsn(role, application_name=SLACK), lock)
    locked = "select 1 from pg_locks where mode = 'AccessExclusiveLock' and granted and relation is not null"
    wait_for(lambda: house.database.execute(locked.encode()), message="the table to be locked")
    readers = [background(house.database.dsn(), sql.SQL("table {}").format(table).as_string()) for _ in range(2)]
    for reader in readers:
        reader.wait(10)
        assert reader.error is None
    holder.wait()
    assert "canceling statement due to user request" in str(holder.error)
    house.wait_event("cancelled")
    assert tables(house) == before
    house.assert_all_told()
    assert "<!channel" not in str([request.payload for request in house.slack.requests])
