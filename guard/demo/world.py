"""Everything the demonstration needs, made from nothing: servers, roles, table, files, processes; and its end.

It uses the product as a person would: install(), a TOML file, `python -m guard serve`. It causes no faults.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shlex
import sys
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import sql

from guard.act.install import install
from guard.demo.child import Child, Scratch
from guard.demo.embedded import Cluster
from guard.demo.server import free_port
from guard.demo.slack import SlackServer
from guard.demo.waiting import wait_for
from guard.errors import WorldError

ROWS = 200_000
DATABASE = "shop"

_ROLES = """
create role guard login; create role migrator login; create role app login;
grant migration_guard_guard, pg_monitor, pg_signal_backend to guard;
grant migration_guard_client to migrator;
"""

_TABLE = """
create table orders (
    id     bigint primary key,
    amount numeric not null,
    region text,
    fills  integer not null default 0  -- grows with each fill, so that a row that was filled twice is seen
) with (fillfactor = 70);
insert into orders select n, n % 500 from generate_series(1, {rows}) as n;
alter table orders owner to migrator;
grant select, update on orders to app;
"""

_CONFIGURATION = """\
[guard]
id              = "demo"
poll_interval   = "250ms"
state_directory = {state}

[database.shop]
dsn           = "host=127.0.0.1 port={port} dbname={database} user=guard"
password_file = "guard-password"
standbys      = ["replica1"]

[migrations]
roles             = ["migrator"]
application_names = ["migration:*"]

[[rule]]
name   = "replica lag"
metric = "replication.lag"
pause  = "> 2s for 500ms"
resume = "< 1500ms for 1s"

[[rule]]
name   = "lock queue"
metric = "locks.queued_behind_migration"
waited = "1s"
cancel = ">= 3"
resume = "< 1 for 1s"

[[rule]]
name     = "shop errors"
http     = "http://127.0.0.1:{shop}/health"
json     = "error_rate"
unit     = "ratio"
pause    = "> 2% for 500ms"
rollback = "> 4% for 2s"
resume   = "< 1% for 1s"
no_data  = "hold"

[rollback]
command = [{hook}]
timeout = "30s"

[slack]
webhook_url_file = "slack-webhook"
"""

_HOOK = """\
#!/bin/sh
# Takes the change back: the new pricing code is switched off. Each run of this script leaves a line.
set -eu
printf 'run %s\\n' "$MIGRATION_GUARD_RUN_ID" >> {log}
rm -f {flag}
echo "new pricing switched off"
"""


class World:
    """The scene; within a with block all of it is there, and afterwards nothing is left."""

    def __init__(self) -> None:
        self._scratch = Scratch("migration-guard-demo-")
        self.directory = self._scratch.path
        self.flag = self.directory / "new-pricing-is-on"
        self.hook_log = self.directory / "hook.log"
        self.diary = self.directory / "backfill.jsonl"
        self.alter_diary = self.directory / "alter.jsonl"
        self._stack = contextlib.ExitStack()
        self._passwords = {role: secrets.token_urlsafe(18) for role in ("guard", "migrator", "app")}

    def __enter__(self) -> Self:
        self._stack.callback(self._scratch.remove)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    # -- making it -----------------------------------------------------------------------------------------------------

    def start_servers(self) -> str:
        """A primary and a standby; says in words what runs."""
        self.cluster = self._stack.enter_context(Cluster.start(standbys=1))
        self.primary, self.standby = self.cluster.primary, self.cluster.standby
        return str(self.cluster.binaries)

    def make_database(self) -> None:
        """Schema, roles with the least privileges that do, and the table."""
        self.primary.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))
        install(self.primary.dsn(dbname=DATABASE))
        with self.connect("postgres") as admin:
            admin.execute(_ROLES)
            for role, password in self._passwords.items():
                statement = sql.SQL("alter role {} password {}")
                admin.execute(statement.format(sql.Identifier(role), sql.Literal(password)))
            admin.execute(_TABLE.format(rows=ROWS).encode())
            admin.execute("vacuum analyze orders")
        self.cluster.wait_replayed()

    def write_files(self) -> Path:
        """The configuration file, its secrets and the rollback hook; the path of the first."""
        self.slack = self._stack.enter_context(SlackServer())
        self.shop_port = free_port()
        hook = self.directory / "rollback-hook"
        hook.write_text(_HOOK.format(log=shlex.quote(str(self.hook_log)), flag=shlex.quote(str(self.flag))))
        hook.chmod(0o700)
        for name, secret in (("guard-password", self._passwords["guard"]), ("slack-webhook", self.slack.url)):
            (self.directory / name).touch(mode=0o600)
            (self.directory / name).write_text(secret)
        state = self.directory / "state"
        state.mkdir(mode=0o700)
        configuration = self.directory / "migration-guard.toml"
        configuration.write_text(
            _CONFIGURATION.format(
                state=json.dumps(str(state)),
                hook=json.dumps(str(hook)),
                port=self.primary.port,
                database=DATABASE,
                shop=self.shop_port,
            )
        )
        return configuration

    # -- its processes -------------------------------------------------------------------------------------------------

    def start_shop(self) -> Child:
        """The application, once it answers requests."""
        dsn = self.dsn("app")
        shop = self._child("application", [str(self.shop_port), str(self.flag)], dsn)
        wait_for(
            lambda: self.shop_health().get("requests"),
            within=20,
            ignoring=(OSError,),
            message=lambda: f"the application to answer:\n{shop.tail()}",
        )
        return shop

    def start_guard(self, configuration: Path) -> Child:
        """The real daemon as a process, once it leads the database. Raises WorldError where it ends instead."""
        command = [sys.executable, "-m", "guard", "serve", "-c", str(configuration)]
        guard = Child(command, output=self.directory / "guard.log")
        self._stack.callback(guard.stop)
        with self.connect("postgres") as admin:
            wait_for(
                lambda: not guard.running or admin.execute("select from migration_guard.leader").rowcount,
                within=20,
                message=lambda: f"the guard to take the lead:\n{guard.tail()}",
            )
        if not guard.running:
            raise WorldError(f"The guard did not start:\n{guard.tail()}")
        return guard

    def start_backfill(self) -> Child:
        """The migration under guard.client."""
        return self._child("backfill", [str(self.diary)], self.dsn("migrator"))

    def start_alter(self) -> Child:
        """The migration that knows of no guard."""
        return self._child("alter", [str(self.alter_diary)], self.dsn("migrator"))

    def _child(self, module: str, arguments: list[str], dsn: str) -> Child:
        command = [sys.executable, "-m", f"guard.demo.{module}", *arguments]
        # By the environment: a command line is for everybody to read.
        child = Child(command, output=self.directory / f"{module}.log", environment={"DEMO_DSN": dsn})
        self._stack.callback(child.stop)
        return child

    # -- talking to it -------------------------------------------------------------------------------------------------

    def dsn(self, role: str) -> str:
        """How *role* reaches the database."""
        return self.primary.dsn(role, DATABASE, password=self._passwords[role])

    def connect(self, role: str, name: str = "demonstration") -> psycopg.Connection[tuple[Any, ...]]:
        """A session of *role* under the application_name *name*, in autocommit mode."""
        dsn = self.primary.dsn(dbname=DATABASE) if role == "postgres" else self.dsn(role)
        return psycopg.connect(dsn, application_name=name, autocommit=True, connect_timeout=5)

    def shop_health(self) -> dict[str, Any]:
        """What the application says of itself. Raises OSError while it does not answer."""
        url = f"http://127.0.0.1:{self.shop_port}/health"
        with urllib.request.urlopen(url, timeout=2) as answer:
            health: dict[str, Any] = json.load(answer)
        return health
