"""Secrets that sing: a different one wherever the product takes one, and all that it says searched for each.

What is searched is every output of every process, all files of the state directory byte by byte, every table of the
schema, every message to Slack, the process list and the environment of the hook.
"""

from __future__ import annotations

import base64
import json
import re
import signal
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.acceptance.house import House
from tests.command import command
from tests.fix_http import answer
from tests.slack_server import SECRET, Answer
from tests.waiting import wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.fault(63)]

PASSWORD = "pw  CANARY%1'/@\"ß\\"
WEBHOOK = SECRET
BEARER = "bearer-CANARY2"
HEADER = "header-CANARY3"
QUERY = "query-CANARY4"
HOOK = "hook-CANARY5"
"""In a variable that the hook may see."""
OTHER = "other-CANARY6"
"""In a variable that only the daemon has."""
BASIC = "basic:CANARY7"
RULE_HEADER = "header-CANARY8"
STANDBY = "standby-CANARY9"
HOOKED = "hooked-CANARY10"
SIGNING = "signing-CANARY11-0123456789"
MAILER = "mailer-CANARY12"
MAILED = "mailed-CANARY13"
PAGE = "page-CANARY14-0123456789"
PAIR = base64.b64encode(f"asker:{BASIC}".encode()).decode()
"""What is sent for the basic one, and no spelling of it."""
SENT = (BEARER, HEADER, QUERY, PAIR, RULE_HEADER, HOOKED, MAILED)
"""To sources and channels, as it is."""
EACH = (PASSWORD, WEBHOOK, HOOK, OTHER, BASIC, STANDBY, SIGNING, MAILER, PAGE, *SENT)

RULES = """
[[rule]]
name     = "errors"
http     = "{url}/health?token=query-CANARY4"
username      = "asker"
password_file = "basic"
headers       = {{ "X-Api-Key" = "header-CANARY8" }}
json     = "v"
pause    = "> 5"
resume   = "< 2 for 300ms"
rollback = "> 50 for 200ms"

[[rule]]
name    = "by a standby"
metric  = "replication.lag"
select  = {{ standby = "away" }}
pause   = "> 5s"
no_data = "ignore"

[[rule]]
name       = "by prometheus"
prometheus = "up"
pause      = "> 5"
no_data    = "ignore"
"""


def spellings(secret: str) -> set[bytes]:
    """The secret as it might turn up: plain, encoded for a URL, JSON, Python, libpq, HTTP."""
    quoted = quote(secret, safe="")
    texts = {secret, " ".join(secret.split()), quoted, quoted.lower(), quote(secret), json.dumps(secret)[1:-1]}
    texts |= {repr(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], secret.replace("'", "\\'")}
    texts |= {base64.b64encode(secret.encode()).decode().rstrip("="), secret.encode().hex()}
    return {text.encode() for text in texts}


@dataclass
class Search:
    """All that was said, by whom; and whether one of the secrets is in it."""

    said: dict[str, bytes] = field(default_factory=dict)

    def add(self, who: str, what: str | bytes) -> None:
        """Something that anybody might read."""
        self.said[who] = self.said.get(who, b"") + (what.encode() if isinstance(what, str) else what)

    def run(self, *arguments: str, environment: dict[str, str] | None = None) -> int:
        """A command, whose words are searched; its exit code. None of them ends in a traceback."""
        ended = command(*arguments, environment=environment)
        self.add(" ".join(arguments), ended.said)
        assert "Traceback" not in ended.said, ended.said
        return ended.code

    def assert_silent(self, *secrets: str) -> None:
        """None of the secrets was said by anybody."""
        found = [
            f"{secret!r} in {who}: ...{what[max(0, what.find(form) - 200) : what.find(form) + 100]!r}"
            for who, what in self.said.items()
            for secret in secrets
            for form in spellings(secret)
            if form in what
        ]
        assert found == []


def test_the_search_would_find_each_of_them_in_every_spelling() -> None:
    for spelling in spellings(PASSWORD):
        search = Search()
        search.add("somebody", b"before " + spelling + b" after")
        with pytest.raises(AssertionError):
            search.assert_silent(PASSWORD)


@pytest.fixture
def search() -> Search:
    """Nothing yet."""
    return Search()


@pytest.fixture
def guard_password(house: House) -> None:
    """The guard's role has the canary as its password."""
    house.database.execute(sql.SQL("alter role guard_login password {}").format(PASSWORD))


def secret_file(path: Path, text: str) -> Path:
    """A file that only its owner reads."""
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def hook(house: House) -> Path:
    """A hook that writes down all that it was given, and fails."""
    script = house.directory / "rollback"
    script.write_text(f"#!/bin/sh\ntr '\\0' '\\n' < /proc/self/environ > {house.directory}/hook-environment\nexit 3\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


def furnish(house: House) -> dict[str, str]:
    """A configuration with a secret wherever one is taken; the daemon's environment."""
    address = house.database.server
    user = quote(PASSWORD, safe="")
    house.dsn = f"postgresql://guard_login:{user}@127.0.0.1:{address.port}/{house.database.name}"
    bearer = secret_file(house.directory / "bearer", BEARER)
    secret_file(house.directory / "basic", BASIC)
    house.rules = RULES
    secret_file(house.directory / "hook-url", f"{house.endpoint.url}/{HOOKED}")
    secret_file(house.directory / "hook-secret", SIGNING)
    there = house.endpoint.url.removeprefix("http://")
    secret_file(house.directory / "mail-url", f"json://mailer:{MAILER}@{there}/{MAILED}")
    secret_file(house.directory / "page-token", PAGE)
    house.more = f"""
[database.main.standby_dsns]
away = "postgresql://guard_login:{STANDBY}@127.0.0.1:9/{house.database.name}"
[prometheus]
url = "{house.endpoint.url}"
bearer_token_file = "{bearer}"
headers = {{ "X-Api-Key" = "{HEADER}" }}
[rollback]
command = ["{hook(house)}"]
environment = ["HOOK_TOKEN"]
[[channel]]
name = "hook"
kind = "webhook"
url_file = "hook-url"
secret_file = "hook-secret"
[[channel]]
name = "mail"
kind = "apprise"
url_file = "mail-url"
[page]
listen = "{house.directory}/page"
token_file = "page-token"
"""
    return {"HOOK_TOKEN": HOOK, "OTHER_TOKEN": OTHER, "PGPASSWORD": OTHER, "PYTHONFAULTHANDLER": "1"}


def cmdlines() -> bytes:
    """The process list, as any account sees it."""
    found = b""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += file.read_bytes() + b"\n"
        except OSError:
            continue
    return found


def collect(house: House, search: Search) -> None:
    """Files, tables, messages and outputs of the whole house."""
    for path in (house.directory / "state").rglob("*"):
        if path.is_file():
            search.add(str(path), path.read_bytes())
    rows = sql.SQL("select to_jsonb(t)::text from migration_guard.{} t")
    for (table,) in house.database.execute("select tablename from pg_tables where schemaname = 'migration_guard'"):
        for row in house.database.execute(rows.format(sql.Identifier(table))):
            search.add(table, row[0])
    for request in house.slack.requests:
        search.add("Slack", json.dumps(request.payload, ensure_ascii=False))
    for process in house.processes:
        search.add(process.child.output.name, process.text())


def look(house: House, search: Search) -> None:
    """What is seen of a daemon that runs: the process list, its page, and what that says to who has a wrong token."""
    search.add("process list", cmdlines())
    transport = httpx.HTTPTransport(uds=str(house.directory / "page"))
    with httpx.Client(transport=transport, base_url="http://localhost", trust_env=False, timeout=20) as client:
        run_id = house.database.execute("select max(run_id) from migration_guard.run")[0][0]
        for path in ("/", f"/run/main/{run_id}", "/metrics", "/healthz", "/check/backfill?why", "/nowhere"):
            for token in (PAGE, PAGE[:-1], "none"):
                answer = client.get(path, headers={"authorization": f"Bearer {token}"})
                assert (answer.status_code == 401) == (token != PAGE and path != "/healthz")
                search.add(f"page {path}", f"{answer.headers}{answer.text}")


def misplaced(house: House) -> str:
    """The configuration with each secret where it does not belong, or not as it must be written."""
    text = house.file.read_text()
    for right, wrong in (
        (quote(PASSWORD, safe=""), PASSWORD.replace("\\", "\\\\").replace('"', '\\"')),
        (str(house.directory / "webhook"), house.slack.url),
        ("bearer_token_file", f'bearer_token = "{BEARER}"\nbearer_token_file'),
        ("X-Api-Key", "X Api Key"),
        ("?token=", ":99999?token="),
    ):
        assert right in text
        text = text.replace(right, wrong)
    return text


@pytest.mark.fault(67)
def test_no_secret_is_said_anywhere_while_everything_is_used_and_much_fails(
    house: House, guard_password: None, search: Search
) -> None:
    environment = furnish(house)
    house.slack.script += [
        Answer(500, "no"),
        Answer(302, "", location=house.endpoint.url),
        Answer(403, "invalid_token"),
    ]
    daemon = house.serve(environment=environment)
    migrating = house.wait_migrating()
    house.load(9)
    house.wait_event("paused")
    for reply in (answer(b"", status=401), answer(b"", status=302, headers=f"Location: {house.endpoint.url}/x\r\n")):
        house.endpoint.reply = reply
        seen = len(house.endpoint.requests)
        wait_for(lambda seen=seen: len(house.endpoint.requests) > seen + 3)  # type: ignore[misc]
    for words in (["status", "--json"], ["explain"], ["runs", "--json"], ["check"]):
        search.run(*words, "-c", str(house.file))
    file = house.file.read_text()
    house.file.write_text(misplaced(house))
    daemon.send(signal.SIGHUP)
    daemon.wait_says("the configuration stays as it was")
    assert daemon.text().count("reload refused: ") == 5
    house.file.write_text(file)
    house.load(0)
    house.wait_event("resumed")
    migrating.wait_starts()
    house.wait_event("applied")
    house.load(99)
    house.wait_event("rollback_failed")
    look(house, search)
    asked = "".join(house.endpoint.requests)
    assert [secret for secret in SENT if secret not in asked] == []
    house.database.execute("alter role guard_login password 'another'")
    house.database.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'guard_login'")
    daemon.wait_says("password authentication failed")
    limits = Path(f"/proc/{daemon.child.pid}/limits").read_text()
    assert re.search(r"^Max core file size +0 ", limits, re.MULTILINE)  # its memory holds them all
    daemon.send(signal.SIGABRT)
    assert daemon.wait(10) == -signal.SIGABRT
    assert "Current thread" in daemon.text()  # a traceback, then; and what it holds is searched below
    collect(house, search)
    search.assert_silent(*EACH)
    given = (house.directory / "hook-environment").read_text()
    assert HOOK in given
    assert OTHER not in given
    names = {line.split("=")[0] for line in given.splitlines()}
    assert {name for name in names if not name.startswith("MIGRATION_GUARD_")} == {"PATH", "HOOK_TOKEN"}


# -- connections that fail ---------------------------------------------------------------------------------------------


def ways(house: House) -> dict[str, str]:
    """Addresses that lead nowhere, each with the password in it."""
    port, encoded = house.database.server.port, quote(PASSWORD, safe="")
    there: dict[str, Any] = {"host": "127.0.0.1", "port": port, "user": "guard_login", "dbname": house.database.name}
    return {
        "wrong": make_conninfo(**{**there, "password": PASSWORD}),
        "url": f"postgresql://guard_login:{encoded.lower()}@127.0.0.1:{port}/{house.database.name}",
        "refused": make_conninfo(**{**there, "port": 9, "password": PASSWORD}),
        "unknown": f"postgresql://guard_login:{encoded}@no-such-host.invalid/app",
        "rejected": make_conninfo(**{**there, "user": "rejected", "password": PASSWORD}),
        "several": make_conninfo(**{**there, "host": "127.0.0.1,localhost", "port": f"{port},9", "password": PASSWORD}),
        "tls": make_conninfo(**{**there, "password": PASSWORD, "sslmode": "require"}),
        "absent": make_conninfo(**{**there, "dbname": "absent", "password": PASSWORD}),
        "option": make_conninfo(**{**there, "password": PASSWORD, "options": "-c nonsense=1 -c"}),
    }


@pytest.fixture
def rejecting(house: House) -> Iterator[None]:
    """The server rejects the role `rejected` in pg_hba.conf."""
    server = house.database.server
    file = server.data_dir / "pg_hba.conf"
    before = file.read_text()
    file.write_text("host all rejected all reject\n" + before)
    server.execute("select pg_reload_conf()")
    yield
    file.write_text(before)
    server.execute("select pg_reload_conf()")


def test_no_secret_is_said_of_connections_that_fail_in_any_way(house: House, rejecting: None, search: Search) -> None:
    found = ways(house)
    tables = [f"[database.{name}]\ndsn = {json.dumps(dsn)}\nstandbys = []\n" for name, dsn in found.items()]
    tables.append("[database.environment]\nstandbys = []\n")
    state = f'[guard]\nstate_directory = "{house.directory}/state"\npoll_interval = "100ms"\n'
    config = str(secret_file(house.directory / "failing.toml", state + "".join(tables)))
    spilt = f"postgresql://guard_login:spilt@{OTHER}@127.0.0.1/app"
    environment = {"MIGRATION_GUARD_DATABASE_ENVIRONMENT_DSN": spilt, "PGPASSWORD": OTHER}
    with ThreadPoolExecutor(4) as pool:
        asked = [
            pool.submit(search.run, *words, environment=environment)
            for words in (
                ["check", "-c", config],
                ["check", "-c", config, "--json"],
                ["status", "-c", config],
                ["install", "-c", config, "--database", "url"],
                ["uninstall", "-c", config, "--database", "wrong", "--yes"],
                ["pause", "m", "--reason", "r", "-c", config, "--database", "option"],
                ["wait", "m", "--timeout", "1s", "-c", config, "--database", "tls"],
                ["explain", "-c", config, "--database", "environment"],
                ["serve", "-c", config],
            )
        ]
    assert {each.result() for each in asked} == {3}
    checked = search.said[f"check -c {config}"].decode()
    seen = search.said[f"status -c {config}"].decode()
    for name in (*found, "environment"):
        assert f"problem  database {name}: " in checked
        assert f"{name}: " in seen  # one that cannot be asked hides no other
    assert "rejects" in checked
    assert "not percent-encoded" in checked
    search.assert_silent(PASSWORD, OTHER)
