"""All that chaos befalls: a primary, two standbys, two databases under one guard, migrations, an application, load.

It causes no fault and judges nothing. Everything that it starts ends with close(), or with our own end.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from psycopg import sql

from guard.act.install import DBA_LINES
from guard.demo.account import clean_environment
from guard.demo.embedded import Cluster, Server
from tests.acceptance.house import ROOT, Process
from tests.chaos.place import Place
from tests.chaos.supervisor import Ended, Start, Supervisor
from tests.fix_postgres import Database
from tests.slack_server import SlackServer, slack_server

LEASE = 3.0
POLL = 0.25
RESTART_AFTER = 1.0
"""Seconds until the supervisor has the daemon there again, as systemd's RestartSec."""

_ROLES = ("guard_login", "migrator", "app", "ana")
_GRANTS = (
    *DBA_LINES,
    "grant migration_guard_guard to guard_login",
    "grant migration_guard_client to migrator",
    "grant migration_guard_operator to ana",
)
_GUARD = """
[guard]
id = "chaos"
poll_interval = "{poll:g}s"
probe_deadline = "1s"
lease = "{lease:g}s"
state_directory = {state}
[migrations]
roles = ["migrator"]
[migration.backfill]
soak = "5s"
[slack]
webhook_url_file = {webhook}
[[rule]]
name    = "lag"
metric  = "replication.lag"
pause   = "> 2s"
resume  = "< 1s for 500ms"
no_data = "pause for 500ms"
[[rule]]
name   = "queue"
metric = "locks.queued_behind_migration"
waited = "500ms"
cancel = ">= 2"
resume = "< 1 for 300ms"
"""
_DATABASE = """
[database.{name}]
dsn = {dsn}
standbys = {standbys}
[[rule]]
name      = "load of {name}"
databases = ["{name}"]
http      = "{url}"
json      = "v"
pause     = "> {limit:g}"
resume    = "< 2 for 300ms"
no_data   = "pause for 500ms"
"""


class World:
    """Everything, within a with block. *more* are further lines of the daemon's file."""

    def __init__(self, names: Sequence[str], *, standbys: int, rows: int, more: str = "") -> None:
        self._names, self._wanted_standbys, self._rows, self.more = names, standbys, rows, more
        self.directory = Path(tempfile.mkdtemp(prefix="migration-guard-chaos-")).resolve()
        # The servers' account has to enter; what is secret in it has its own mode.
        self.directory.chmod(0o755)
        self.keep = False
        """Keep the logs at the end."""
        self.places: list[Place] = []
        self.migrations: list[Supervisor] = []
        self.ended_wrongly: list[str] = []
        self.crashes: list[float] = []
        """Wall times at which the primary went down, and all leases with it."""
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all; of the directory the logs stay, where something was wrong."""
        self._stack.close()
        if not self.keep:
            shutil.rmtree(self.directory, ignore_errors=True)
            return
        for entry in (self.directory / "servers").glob("*/"):
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)

    @property
    def primary(self) -> Server:
        """The primary."""
        return self.cluster.primary

    # -- making it -----------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        settings = {"shared_buffers": "32MB", "log_checkpoints": "off", "log_lock_waits": "off"}
        self.cluster = self._stack.enter_context(
            Cluster.start(self.directory / "servers", standbys=self._wanted_standbys, settings=settings)
        )
        self.slack: SlackServer = self._stack.enter_context(slack_server())
        for role in _ROLES:
            create = sql.SQL("create role {} login password {}")
            self.primary.execute(create.format(sql.Identifier(role), self.cluster.password))
        for name in self._names:
            self.primary.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
            place = Place(name, Database(name, self.primary), self.directory, self._rows)
            self._stack.callback(place.close)
            place.furnish()
            self.places.append(place)
        for line in _GRANTS:
            self.primary.execute(line.encode())
        self.configure()
        self.guard = self._supervised("guard", self._start_guard, RESTART_AFTER, self._guard_ended)

    def start_work(self, *, load: bool) -> None:
        """Migrations; *load*: the applications and a light pgbench too."""
        for place in self.places:
            self.migrations.append(place.migration())
            self._stack.callback(self.migrations[-1].close)
            if load:
                self._supervised(f"{place.name} application", self._application(place), 0.3, self._nothing)
        if load:
            self._pgbench(self.places[0])

    def _supervised(self, name: str, start: Start, after: float, ended: Ended) -> Supervisor:
        supervisor = Supervisor(name, start, after=after, ended=ended)
        self._stack.callback(supervisor.close)
        return supervisor

    def _nothing(self, code: int, asked: bool) -> None:
        """The application may end and be started again."""

    # -- the guard -----------------------------------------------------------------------------------------------------

    @property
    def file(self) -> Path:
        """The daemon's configuration file."""
        return self.directory / "guard.toml"

    def configure(self, limit: float = 5.0) -> None:
        """Write the daemon's file; *limit* is from which load on it pauses."""
        webhook = self.directory / "webhook"
        webhook.touch(mode=0o600)
        webhook.write_text(self.slack.url)
        state = json.dumps(str(self.directory / "state"))
        text = _GUARD.format(poll=POLL, lease=LEASE, state=state, webhook=json.dumps(str(webhook)))
        for place in self.places:
            text += _DATABASE.format(
                name=place.name,
                dsn=json.dumps(place.guard_line.dsn(place.database.dsn("guard_login"))),
                standbys=json.dumps([standby.name for standby in self.cluster.standbys]),
                url=f"http://127.0.0.1:{place.metric_line.port}",
                limit=limit,
            )
        half = self.file.with_suffix(".half")
        half.touch(mode=0o600)
        half.write_text(text + self.more)
        half.replace(self.file)

    @property
    def guard_log(self) -> Path:
        """What all lives of the daemon have printed."""
        return self.directory / "guard.log"

    def _start_guard(self) -> Process:
        return Process([sys.executable, "-m", "guard", "serve", "-c", str(self.file)], self.guard_log)

    def _guard_ended(self, code: int, asked: bool) -> None:
        if not asked:
            self.ended_wrongly.append(f"the daemon ended by itself with {code}")

    # -- the application -----------------------------------------------------------------------------------------------

    def application_diary(self, place: Place) -> Path:
        """What the application of a place writes."""
        return self.directory / f"{place.name}-application.jsonl"

    def _application(self, place: Place) -> Start:
        command = [sys.executable, "-m", "tests.chaos.application", str(self.application_diary(place))]
        environment = {"CHAOS_DSN": place.database.dsn("app"), "PYTHONPATH": str(ROOT)}
        return lambda: Process(command, self.directory / f"{place.name}-application.log", environment)

    def _pgbench(self, place: Place) -> None:
        binaries, server = self.cluster.binaries, place.database.server
        if not Path(binaries.path("pgbench")).exists():
            return  # some packages of the server come without; the application is load enough
        environment = {
            **clean_environment(os.environ),
            "PGHOST": "127.0.0.1",
            "PGPORT": str(server.port),
            "PGUSER": "postgres",
            "PGDATABASE": place.name,
            "PGPASSWORD": server.password,
        }
        output = self.directory / "pgbench.log"
        making = Process([binaries.path("pgbench"), "-i", "-q", "-s", "1"], output, environment)
        if making.wait(60) != 0:
            raise RuntimeError(f"pgbench -i failed: {making.text()}")
        command = [binaries.path("pgbench"), "-n", "-c", "1", "-R", "4", "-T", "100000", "-b", "simple-update"]
        self._supervised("pgbench", lambda: Process(command, output, environment), 0.5, self._nothing)
