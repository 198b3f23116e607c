"""A command under guard, as a process of its own, beside a guard that orders what the test says."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from guard.demo.embedded import Binaries
from tests.acceptance.processes import ROOT, Process
from tests.beating import Beating
from tests.fix_postgres import Database
from tests.shipped import as_client
from tests.waiting import wait_for

MARK = "migration:m"
QUICK = ("--grace", "300ms", "--backoff", "200ms..400ms")


@dataclass
class Bench:
    """Where commands run under guard; all of them end with close()."""

    guard: Beating
    psql: str
    directory: Path

    def __post_init__(self) -> None:
        self.processes: list[Process] = []
        self.dsn = as_client(self.database.dsn())

    @property
    def database(self) -> Database:
        return self.guard.contract.database

    @property
    def environment(self) -> dict[str, str]:
        """By which both the command and exec find the database, as the migration's role."""
        given = conninfo_to_dict(self.dsn)
        named = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password", "PGDATABASE": "dbname"}
        return {variable: str(given[key]) for variable, key in named.items()}

    def execute(self, command: Sequence[str], *options: str, **environment: str) -> Process:
        """``migration-guard exec --name m OPTIONS -- COMMAND``, started."""
        output = self.directory / f"exec{len(self.processes)}.log"
        words = [sys.executable, "-m", "guard", "exec", "--name", "m", *QUICK, *options, "--", *command]
        process = Process(words, output, {"PYTHONPATH": str(ROOT), **self.environment, **environment})
        self.processes.append(process)
        return process

    def script(self, text: str, *options: str) -> list[str]:
        """A psql that runs a file and stops at an error."""
        file = self.directory / "script.sql"
        file.write_text(text)
        return [self.psql, "-X", "-v", "ON_ERROR_STOP=1", *options, "-f", str(file)]

    def sessions(self) -> list[tuple[int, str, str]]:
        """The command's sessions on the server, without exec's own: pid, state, what it waits for."""
        return [
            (row[0], row[1], row[2])
            for row in self.database.execute(
                "select pid, state, coalesce(wait_event_type, '') from pg_stat_activity where application_name = %s "
                "and datname = current_database() and pid not in (select pid from migration_guard.run)",
                [MARK],
            )
        ]

    def wait_at_work(self, wait: str = "Timeout") -> None:
        """Wait until a session of the command is at a statement that waits so: a sleep, or for a `Lock`."""
        wait_for(
            lambda: any(each[1:] == ("active", wait) for each in self.sessions()),
            within=20,
            message=lambda: f"a session at work, {wait}: {self.sessions()}\n{self.processes[-1].text()}",
        )

    def wait_none_left(self) -> None:
        """Wait until the command has no session on the server."""
        wait_for(lambda: not self.sessions(), within=20, message=lambda: f"no session, but there is {self.sessions()}")

    def there(self, table: str, column: str = "") -> bool:
        """Whether a table, or a column of it, exists."""
        found = "select '' = %s or column_name = %s from information_schema.columns where table_name = %s"
        return any(row[0] for row in self.database.execute(found, [column, column, table]))

    def run(self, columns: str) -> tuple[Any, ...]:
        """Columns of the newest run."""
        query = sql.SQL("select {} from migration_guard.run order by run_id desc limit 1")
        names = sql.SQL(",").join(map(sql.Identifier, columns.split()))
        return self.database.execute(query.format(names))[0]

    def outcomes(self) -> list[str | None]:
        """How each run ended, oldest first."""
        return [row[0] for row in self.database.execute("select outcome from migration_guard.run order by run_id")]

    def close(self) -> None:
        """End every process."""
        for process in self.processes:
            process.close()


@contextmanager
def benched(database: Database, binaries: Binaries, directory: Path) -> Iterator[Bench]:
    """A bench with table t of the migration's role, and one that a script looks into to know how long it is to wait."""
    guard = Beating(database)
    bench = Bench(guard, binaries.path("psql"), directory)
    database.execute("create table t (id int); create table hold (); alter table t owner to shipped_client")
    database.execute("grant select on hold to shipped_client")
    yield bench
    bench.close()
    guard.stop()
