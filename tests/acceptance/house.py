"""A database under guard: the real daemon as a process, a migration that logs its batches, a server in Slack's place.

It drives and reads; it asserts only what every test would.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from guard.act.install import install
from tests.acceptance.processes import ROOT, Migrating, Process
from tests.fix_http import Endpoint, answer
from tests.fix_postgres import Database
from tests.slack_server import SlackServer
from tests.slack_workspace import TOKEN
from tests.waiting import wait_for

__all__ = ["FRESH_FOR", "LAG", "LEASE", "LOAD", "NOISE", "QUEUE", "ROOT", "House", "Migrating", "Process"]

LEASE = 3.0
FRESH_FOR = 0.2
NOISE = 0.5
"""What a busy machine may add to any of our own reactions, in seconds."""

LOAD = """
[[rule]]
name    = "load"
http    = "{url}"
json    = "v"
pause   = "> 5"
resume  = "< 2 for 300ms"
no_data = "pause for 500ms"
"""
LAG = """
[[rule]]
name   = "lag"
metric = "replication.lag"
pause  = "> 1s"
resume = "< 500ms for 500ms"
"""
QUEUE = """
[[rule]]
name   = "queue"
metric = "locks.queued_behind_migration"
waited = "500ms"
cancel = ">= 2"
resume = "< 1 for 300ms"
"""


@dataclass
class House:
    """One database under guard. Everything that it starts ends with close()."""

    database: Database
    directory: Path
    endpoint: Endpoint
    slack: SlackServer
    rules: str = LOAD
    standbys: str = "[]"
    roles: str = '["migrator"]'
    more: str = ""
    guard: str = ""
    """Further lines of [guard]."""
    dsn: str = ""
    """The guard's way to the database, where it is not the straight one."""
    bot: bool = False
    """Slack is spoken to by a bot token, not by a webhook."""
    processes: list[Process] = field(default_factory=list)

    def furnish(self, rows: int = 30_000) -> None:
        """The schema, and a table to be migrated with a cursor that commits with the batch."""
        install(self.database.dsn())
        self.database.execute("create table t (id int primary key, v int not null)")
        self.database.execute("insert into t select g, 0 from generate_series(1, %s) g", [rows])
        self.database.execute("create table progress (upto int, total int)")
        self.database.execute("insert into progress values (0, %s)", [rows])
        self.database.execute("create table done (upto int primary key); insert into done values (0)")
        self.database.execute("grant select, insert, update on t, progress, done to migrator")
        self.load(0)

    # -- the daemon ----------------------------------------------------------------------------------------------------

    @property
    def file(self) -> Path:
        """The configuration file."""
        return self.directory / "guard.toml"

    def write(self, *, identity: str = "acceptance", state: str = "state") -> Path:
        """Write the configuration as it is to be by now."""
        secret = self.directory / ("token" if self.bot else "webhook")
        secret.touch(mode=0o600)
        secret.write_text(TOKEN if self.bot else self.slack.url)
        by_bot = f'bot_token_file = "{secret}"\nchannel = "#guard"\napi_url = "{self.slack.api}"'
        self.file.touch(mode=0o600)
        self.file.write_text(
            f"""
[guard]
id = "{identity}"
poll_interval = "100ms"
lease = "{LEASE:g}s"
state_directory = "{self.directory / state}"
{self.guard}
[database.main]
dsn = "{self.dsn or self.database.dsn("guard_login")}"
standbys = {self.standbys}
[migrations]
roles = {self.roles}
[slack]
{by_bot if self.bot else f'webhook_url_file = "{secret}"'}
{self.more}
{self.rules.format(url=self.endpoint.url)}
"""
        )
        return self.file

    def serve(self, *, wait: bool = True, environment: Mapping[str, str] | None = None, **config: str) -> Process:
        """Start the daemon and wait until it guards."""
        file = self.write(**config)
        output = self.directory / f"daemon{len(self.processes)}.log"
        daemon = Process([sys.executable, "-m", "guard", "serve", "-c", str(file)], output, environment)
        self.processes.append(daemon)
        if wait:
            daemon.wait_says("guarding ")
        return daemon

    def load(self, value: float) -> None:
        """What the application's endpoint says from now on; above 5 is too much."""
        self.endpoint.reply = answer(json.dumps({"v": value}).encode())

    # -- the migration -------------------------------------------------------------------------------------------------

    def migrate(self, *, role: str = "migrator", wrong_by: float = 0.0, **options: object) -> Migrating:
        """Start the migration; a later one goes on in the same log."""
        log = self.directory / (quote(str(options.get("name", "backfill")), safe="") + ".jsonl")
        migrating = Migrating(self.database.dsn(role), log, options, wrong_by)
        self.processes.append(migrating)
        return migrating

    def wait_migrating(self, *, role: str = "migrator", **options: Any) -> Migrating:
        """Start the migration and wait until batches flow."""
        migrating = self.migrate(role=role, **options)
        migrating.wait_starts()
        return migrating

    # -- what the database says ----------------------------------------------------------------------------------------

    def events(self, kind: str = "") -> list[tuple[str, float, str]]:
        """(kind, wall time, because) of the audit trail, oldest first.

        Where our migration is at work, of that alone: before it registers it is an unregistered one for a moment.
        """
        ours = any(isinstance(process, Migrating) for process in self.processes)
        rows = self.database.execute(
            "select kind, extract(epoch from at)::float8, because from migration_guard.event "
            "where migration <> '*' or not %s order by event_id",
            [ours],
        )
        return [(row[0], row[1], row[2]) for row in rows if kind in {"", row[0]}]

    def wait_event(self, kind: str, count: int = 1, within: float = 20.0) -> tuple[str, float, str]:
        """Wait for an event, counted from the beginning; it."""
        return wait_for(
            lambda: self.events(kind)[count - 1 : count],
            within=within,
            message=lambda: f"event {kind} number {count} in {self.events()}\n{self.processes[0].text()[-2000:]}",
        )[0]

    def lease(self) -> dict[str, Any]:
        """The lease as it stands."""
        rows = self.database.execute("select to_jsonb(lease) from migration_guard.lease")
        return dict(rows[0][0]) if rows else {}

    def order(self, name: str = "backfill") -> dict[str, Any]:
        """What the guard tells a migration; {} where nothing."""
        return dict(self.lease().get("orders", {}).get(name, {}))

    def wait_order(self, kind: str, name: str = "backfill", within: float = 10.0) -> dict[str, Any]:
        """Wait until the guard tells a migration so."""
        wait_for(
            lambda: self.order(name).get("kind") == kind,
            within=within,
            message=lambda: f"order {kind}; events: {self.events()}\n{self.processes[0].text()[-2000:]}",
        )
        return self.order(name)

    # -- what must always hold -----------------------------------------------------------------------------------------

    def paused_windows(self) -> list[tuple[float, float]]:
        """From when no batch may begin, and until when, by the audit trail."""
        windows, since = [], None
        for kind, at, _ in self.events():
            if kind in {"paused", "aborted", "rolling_back"} and since is None:
                since = at + FRESH_FOR
            elif kind in {"resumed", "started", "warned"} and since is not None:
                windows.append((since, at))
                since = None
        return windows if since is None else [*windows, (since, time.time())]

    def assert_kept_to_orders(self, migrating: Migrating) -> None:
        """No batch was begun while the migration was told to pause."""
        for start, end in self.paused_windows():
            assert [at for at in migrating.starts if start + NOISE < at < end] == [], (start, end)

    def assert_each_row_once(self, migrating: Migrating) -> None:
        """What is committed was applied exactly once: to each row up to the cursor, and to none beyond."""
        with self.database.connect() as connection:
            row = connection.execute(
                "select (select upto from progress), sum(v), max(v), max(id) filter (where v > 0) from t"
            ).fetchone()
        assert row is not None
        assert row[1:] == (row[0], 1, row[0])
        assert len(migrating.lines("committed")) > 0

    def assert_all_told(self, within: float = 20.0) -> None:
        """Every notice in the audit trail reached Slack, none that is not there, in their order."""

        def ids() -> list[str]:
            told = "select payload->'notice'->>'notice_id' from migration_guard.event where payload ? 'notice'"
            return [row[0] for row in self.database.execute((told + " order by event_id").encode())]

        wait_for(
            lambda: list(dict.fromkeys(self.slack.taken)) == ids(),
            within=within,
            message=lambda: f"Slack to be told {ids()}; it was told {self.slack.taken}",
        )

    def close(self) -> None:
        """End every process."""
        for process in self.processes:
            process.close()
