"""What every benchmark stands on: servers, least-privilege roles, tables, and the daemon as a process.

Data is flushed to disk here, unlike in tests: the time of a commit is a part of what is measured. It measures nothing
but how long the daemon takes to be ready.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import sql

from guard.act.install import install
from guard.demo.child import Child
from guard.demo.embedded import Binaries, Cluster
from guard.demo.waiting import wait_for

Connection = psycopg.Connection[tuple[Any, ...]]

DATABASE = "bench"
HOLD = 0.2
"""Seconds for which all must be well before a resume."""
LIMIT, WELL = 1 << 20, 512 << 10
"""Bytes of un-replayed WAL at which the guard pauses, and below which it resumes."""
ROLES = ("watcher", "migrator", "app", "scraper")

_ROLES = """
create role watcher login; create role migrator login; create role app login;
create role scraper login;
grant migration_guard_guard, pg_monitor, pg_signal_backend to watcher;
grant pg_monitor to scraper;
grant migration_guard_client to migrator;
"""

_TABLES = """
create table small (id int primary key, n int not null) with (fillfactor = 50);
insert into small select g, 0 from generate_series(1, 1000) g;
create table items (id int primary key, n int not null, note text not null)
    with (fillfactor = 50, autovacuum_enabled = off);
insert into items select g, 0, repeat('x', 40) from generate_series(1, 200000) g;
create table piled (id int primary key, n int not null);
insert into piled select g, 0 from generate_series(1, 100) g;
alter table small owner to migrator; alter table items owner to migrator; alter table piled owner to migrator;
grant select, update on small, items, piled to app;
"""

_CONFIGURATION = """\
[guard]
id              = "bench"
poll_interval   = "{poll:g}s"
state_directory = {state}

[database.main]
dsn           = "host=127.0.0.1 port={port} dbname={database} user=watcher"
password_file = {password}
standbys      = ["replica1"]

[migrations]
roles             = ["migrator"]
application_names = ["migration:*"]
"""

_QUEUE = """
[[rule]]
name   = "lock queue"
metric = "locks.queued_behind_migration"
waited = "2s"
cancel = ">= 3"
resume = "< 1 for 200ms"
"""

REACTING = (
    _QUEUE
    + """
[[rule]]
name   = "replica bytes"
metric = "replication.lag_bytes"
pause  = "> 1MB"
resume = "< 512kB for 200ms"
"""
)
"""Rules of a guard that pauses at LIMIT bytes of lag, as soon as it sees them."""

PATIENT = (
    _QUEUE
    + """
[[rule]]
name   = "replica lag"
metric = "replication.lag"
pause  = "> 60s for 3s"
resume = "< 30s for 15s"
"""
)
"""Ordinary rules."""


class Rig:
    """Servers and tables, within a with block. *settings* are further lines of postgresql.conf."""

    def __init__(self, binaries: Binaries | None = None, *, settings: Mapping[str, str] | None = None) -> None:
        self._binaries, self._settings = binaries, settings or {}
        self.directory = Path(tempfile.mkdtemp(prefix="migration-guard-bench-")).resolve()
        self._passwords = {role: secrets.token_urlsafe(18) for role in ROLES}
        self._stack = contextlib.ExitStack()
        self._daemons = 0

    def __enter__(self) -> Self:
        self._stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
        try:
            self._build()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _build(self) -> None:
        settings = {
            "fsync": "on",
            "pg_stat_statements.track_planning": "on",
            "log_min_error_statement": "panic",
            **self._settings,
        }
        self.cluster = self._stack.enter_context(Cluster.start(standbys=1, settings=settings, binaries=self._binaries))
        self.primary = self.cluster.primary
        self.primary.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))
        install(self.primary.dsn(dbname=DATABASE))
        self.admin = self._stack.enter_context(self.connect("postgres"))
        self.admin.execute(_ROLES)
        for role, password in self._passwords.items():
            self.admin.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(role), sql.Literal(password)))
        self.admin.execute(_TABLES)
        self.admin.execute("vacuum analyze")
        self.admin.execute("checkpoint")
        self.cluster.wait_replayed()

    def dsn(self, role: str) -> str:
        """How *role* reaches the database; `postgres` is the superuser."""
        if role == "postgres":
            return self.primary.dsn(dbname=DATABASE)
        return self.primary.dsn(role, DATABASE, password=self._passwords[role])

    def connect(self, role: str, name: str = "bench") -> Connection:
        """A session in autocommit mode; the caller closes it."""
        return psycopg.connect(self.dsn(role), application_name=name, autocommit=True, connect_timeout=5)

    def child(self, module: str, role: str, *arguments: str) -> Child:
        """`python -m benchmarks.MODULE` with a connection string of *role*; the caller stops it."""
        command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
        # By the environment: a command line is for everybody to read.
        environment = {"BENCH_DSN": self.dsn(role), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        return Child(command, output=self.directory / f"{module}.log", environment=environment)

    @contextlib.contextmanager
    def daemon(self, poll: float, rules: str = REACTING) -> Iterator[Daemon]:
        """The guard, ready, with *rules* of the file."""
        self._daemons += 1
        home = self.directory / f"daemon{self._daemons}"
        home.mkdir(mode=0o700)
        password, configuration = home / "password", home / "guard.toml"
        password.touch(mode=0o600)
        password.write_text(self._passwords["watcher"])
        configuration.write_text(
            _CONFIGURATION.format(
                poll=poll,
                state=json.dumps(str(home / "state")),
                port=self.primary.port,
                database=DATABASE,
                password=json.dumps(str(password)),
            )
            + rules
        )
        daemon = Daemon(configuration)
        try:
            yield daemon
        finally:
            daemon.child.stop()


class Daemon:
    """`python -m guard serve`, started and ready: `ready` is the seconds from its start to READY=1."""

    def __init__(self, configuration: Path) -> None:
        address = configuration.with_name("notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.bind(str(address))
            channel.settimeout(0.2)
            began = time.monotonic()
            self.child = Child(
                [sys.executable, "-m", "guard", "serve", "-c", str(configuration)],
                output=configuration.with_name("guard.log"),
                environment={"NOTIFY_SOCKET": str(address)},
            )
            try:
                wait_for(lambda: self._told(channel), within=30)
            except TimeoutError:
                self.child.stop()
                raise RuntimeError(f"the daemon was not ready within 30 s:\n{self.child.tail()}") from None
            self.ready = time.monotonic() - began

    def _told(self, channel: socket.socket) -> bool:
        if not self.child.running:
            raise RuntimeError(f"the daemon ended:\n{self.child.tail()}")
        try:
            return b"READY=1" in channel.recv(4096)
        except TimeoutError:
            return False

    @property
    def cpu(self) -> float | None:
        """Seconds of processor time used until now; None where the system does not tell."""
        stat = Path(f"/proc/{self.child.pid}/stat")
        if not stat.exists():
            return None
        fields = stat.read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def memory(self) -> float | None:
        """Resident megabytes; None where the system does not tell."""
        status = Path(f"/proc/{self.child.pid}/status")
        if not status.exists():
            return None
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024


@contextlib.contextmanager
def stopping(child: Child) -> Iterator[Child]:
    """End *child* with the block."""
    try:
        yield child
    finally:
        child.stop()


def a_phase(poll: float) -> float:
    """Seconds, anywhere within one poll."""
    return random.uniform(0, poll)  # noqa: S311 - not a secret


def eventually(connection: Connection, query: str, within: float = 20.0) -> None:
    """Wait until *query* says true."""
    wait_for(lambda: _truth(connection, query), within=within, message=query)


def _truth(connection: Connection, query: str) -> bool:
    row = connection.execute(query.encode()).fetchone()
    return bool(row and row[0])
