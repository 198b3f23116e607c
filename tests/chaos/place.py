"""One guarded database under chaos: its table, the lines to it, the migration that is started again whenever it ends.

It does not know faults. Beside the product it keeps a record of every lease that was ever in force, by a trigger.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from guard.act.install import install
from guard.demo.proxy import Proxy
from tests.acceptance.house import ROOT, Process
from tests.chaos.backfill import ABORTED, CUT_OFF
from tests.chaos.supervisor import Supervisor
from tests.fix_http import Endpoint, answer
from tests.fix_postgres import Database

BATCH, WORK = 15, 0.05
"""Rows a batch, and seconds that each takes at least: some 15 batches a second."""
NAME = "backfill"

_TABLES = """
create table t (id int primary key, v int not null default 0, n int not null default 0) with (fillfactor = 60);
create table progress (upto int, total int);
create table done (upto int primary key);
insert into done values (0);
grant select, insert, update on t, progress, done to migrator;
alter table t owner to migrator;
grant select, update on t to app;
"""
# LOGGED, and in the transaction of the lease itself: what a crash leaves of it is what was in force.
_RECORD = """
create schema record;
create table record.lease (
    seq bigint generated always as identity primary key, at timestamptz not null default clock_timestamp(),
    lease_until timestamptz, mode text, orders jsonb);
create function record.note() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
    if tg_op = 'DELETE' then
        insert into record.lease default values;
    else
        insert into record.lease (lease_until, mode, orders) values (new.lease_until, new.mode, new.orders);
    end if;
    return null;
end $$;
create trigger record after insert or update or delete on migration_guard.lease
    for each row execute function record.note();
"""


def lines_of(path: Path, offset: int) -> tuple[list[dict[str, Any]], int]:
    """The whole lines of a diary from a byte on, and where the next begin."""
    if not path.exists():
        return [], offset
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    whole = data[: data.rfind(b"\n") + 1]
    return [json.loads(line) for line in whole.splitlines()], offset + len(whole)


@dataclass
class Place:
    """One database. `generation` is how often its table was worked through, and begun."""

    name: str
    database: Database
    directory: Path
    rows: int
    generation: int = 1
    renewals: list[float] = field(default_factory=list)
    """Wall times at which a migration had come to its end, and the next began."""
    thawed: list[float] = field(default_factory=list)
    """Wall times at which its migration went on after SIGSTOP."""
    may_abort: bool = False
    """A migration that is told to abort is no surprise."""
    wrong: list[str] = field(default_factory=list)
    """What its owner has found wrong by himself."""

    def __post_init__(self) -> None:
        self.endpoint = Endpoint()
        self.metric_line = Proxy(self.endpoint.port)
        self.guard_line = Proxy(self.database.server.port)
        self.work_line = Proxy(self.database.server.port)
        self.starts: list[float] = []
        self._counting = threading.Lock()
        self._read = 0
        self.load(0)

    def furnish(self) -> None:
        """Schema, tables, record."""
        install(self.database.dsn())
        with self.database.connect() as connection:
            connection.execute(_TABLES.encode())
            connection.execute("insert into t (id) select generate_series(1, %s)", [self.rows])
            connection.execute("insert into progress values (0, %s)", [self.rows])
            connection.execute(_RECORD.encode())
            connection.execute("vacuum analyze")

    def close(self) -> None:
        """Lines and endpoint; processes end by their supervisors."""
        self.endpoint.close()
        for line in (self.metric_line, self.guard_line, self.work_line):
            line.close()

    def load(self, value: float) -> None:
        """What the application's endpoint says from now on; above 5 is too much."""
        self.endpoint.reply = answer(json.dumps({"v": value}).encode())

    # -- the migration -------------------------------------------------------------------------------------------------

    @property
    def diary(self) -> Path:
        """What the migration writes."""
        return self.directory / f"{self.name}-migration.jsonl"

    def migration(self) -> Supervisor:
        """The migration, started again when it ends, and anew when it has come to its end."""
        script = str(Path(__file__).with_name("backfill.py"))
        command = [sys.executable, script, str(self.diary), NAME, str(BATCH), str(WORK)]
        environment = {"CHAOS_DSN": self.work_line.dsn(self.database.dsn("migrator")), "PYTHONPATH": str(ROOT)}
        output = self.directory / f"{self.name}-migration.log"
        return Supervisor(
            f"{self.name} migration", lambda: Process(command, output, environment), after=0.5, ended=self._ended
        )

    def _ended(self, code: int, asked: bool) -> None:
        if code == 0:
            self._renew()
        elif code != CUT_OFF and not asked and not (code == ABORTED and self.may_abort):
            self.wrong.append(f"{self.name}: the migration ended with {code}")

    def _renew(self) -> None:
        """Begin again at the first row; before, each row must have been migrated as often as there were migrations."""
        until = time.monotonic() + 60
        while True:
            try:
                self._begin_anew()
                break
            except psycopg.Error:  # a primary that is down
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
        self.renewals.append(time.time())

    def _begin_anew(self) -> None:
        with self.database.connect() as connection, self._counting:
            with connection.transaction():
                (least, most) = connection.execute("select min(v), max(v) from t").fetchone() or (None, None)
                if (least, most) != (self.generation, self.generation):
                    self.wrong.append(f"{self.name}: rows were migrated {least} to {most} times, not {self.generation}")
                connection.execute("update progress set upto = 0")
                connection.execute("delete from done where upto > 0")
            self.generation += 1

    def read(self) -> list[float]:
        """Wall times of all batches begun so far."""
        lines, self._read = lines_of(self.diary, self._read)
        self.starts += [line["at"] for line in lines if line["what"] == "batch"]
        return self.starts

    # -- what the database says ----------------------------------------------------------------------------------------

    def each_row_once(self) -> str:
        """What is wrong with the rows by now; empty where each was migrated exactly as often as it was its turn."""
        query = (
            "select (select upto from progress), coalesce(min(v) filter (where id <= p.upto), %(g)s),"
            " coalesce(max(v) filter (where id <= p.upto), %(g)s),"
            " coalesce(min(v) filter (where id > p.upto), %(b)s), coalesce(max(v) filter (where id > p.upto), %(b)s)"
            " from t, (select upto from progress) p"
        )
        with self._counting:  # lest rows and generation be read from both sides of a new beginning
            now, before = self.generation, self.generation - 1
            [row] = self.database.execute(query, {"g": now, "b": before})
        if row[1:] == (now, now, before, before):
            return ""
        return f"{self.name}: up to row {row[0]} migrated {row[1]} to {row[2]} times, beyond {row[3]} to {row[4]} times"

    def events(self) -> list[tuple[str, float, str, str | None]]:
        """(kind, wall time, migration, notice id) of the audit trail, oldest first."""
        rows = self.database.execute(
            "select kind, extract(epoch from at)::float8, migration, payload->'notice'->>'notice_id' "
            "from migration_guard.event order by event_id"
        )
        return [(row[0], row[1], row[2], row[3]) for row in rows]
