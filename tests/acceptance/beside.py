"""Recipes beside a real guard: one daemon and one database for a module, with a table that is new for each test.

Each batch passes a gate (an advisory lock in a trigger), which a test shuts to hold one in flight, so that no test
depends on how fast a batch is. It drives and reads; what a recipe is to do is the test's business.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from psycopg.conninfo import make_conninfo

from guard.demo.server import Server
from tests.acceptance.house import FRESH_FOR, NOISE, House
from tests.acceptance.processes import Process
from tests.fix_postgres import Database
from tests.fix_sessions import Background
from tests.recipes import Recipe, surroundings
from tests.waiting import wait_for

NAME = "users-email-lower"
"""What most recipes call the migration."""
GATE = 4711
"""The key of the lock, as in TABLE."""
TABLE = (
    "drop schema public cascade",
    "create schema public",
    "grant all on schema public to migrator",
    "grant usage on schema public to shop",
    "create table users (id int generated always as identity primary key, email text not null)",
    "insert into users (email) select 'User' || g || '@Example.org' from generate_series(1, 6000) g",
    "alter table users owner to migrator",
    "grant select, update on users to shop",
    "create table batch (at float8 not null)",
    """
    create function note_batch() returns trigger language plpgsql security definer set lock_timeout = 0 as $$
    begin
        insert into public.batch values (extract(epoch from clock_timestamp()));
        perform pg_advisory_xact_lock_shared(4711);
        return null;
    end $$
    """,
    "create trigger note_batch before update on users for each statement execute function note_batch()",
)
Start = Callable[[str, str], Background]
SESSIONS = """
    select a.state, a.query, a.backend_xmin is not null,
           coalesce(extract(epoch from clock_timestamp() - a.xact_start), 0)::float8,
           array(select coalesce(c.relname, l.locktype) || ' ' || l.mode
                 from pg_locks l left join pg_class c on c.oid = l.relation
                 where l.pid = a.pid and l.locktype not in ('virtualxid', 'transactionid', 'advisory')
                   and coalesce(c.relnamespace::regnamespace::text, '') not in ('pg_catalog', 'migration_guard'))
    from pg_stat_activity a where a.usename = 'migrator' and a.datname = current_database()
"""


class Running(Process):
    """A command of a recipe in its directory; close() ends all that it has started."""

    def __init__(self, directory: Path, command: tuple[str, ...], environment: dict[str, str]) -> None:
        super().__init__(
            ["sh", "-c", 'cd "$0" && exec "$@"', str(directory), *command], directory / "output", environment
        )

    def ends(self, code: int = 0, within: float = 60.0) -> None:
        """Wait for its end."""
        assert self.wait(within) == code, self.text()[-4000:]

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self.child.running:  # it leads a session of its own
                os.killpg(self.child.pid, signal.SIGKILL)
        super().close()


@dataclass
class Beside:
    """The house with its daemon, and the table of this test."""

    house: House
    standby: Server
    programs: Path
    """Where psql is."""
    directory: Path = field(default_factory=Path)
    """Of this test."""
    running: list[Running] = field(default_factory=list)
    _since: int = 0

    # -- the course ----------------------------------------------------------------------------------------------------

    @property
    def database(self) -> Database:
        return self.house.database

    def renew(self, directory: Path) -> None:
        """A new table, nothing told yet, no load."""
        self.directory, self.running = directory, []
        self.well()
        for statement in TABLE:
            self.database.execute(statement.encode())
        [(self._since,)] = self.database.execute("select coalesce(max(event_id), 0) from migration_guard.event")

    def close(self) -> None:
        """End what this test has started."""
        for running in self.running:
            running.close()
        self.well()

    def run(self, recipe: Recipe, *command: str, port: int | None = None, **environment: str) -> Running:
        """Write the files of a recipe and start a command beside them."""
        recipe.write(self.directory)
        dsn = make_conninfo(self.database.dsn("migrator"), port=port)
        running = Running(self.directory, command, surroundings(dsn, self.programs) | environment)
        self.running.append(running)
        return running

    def well(self) -> None:
        """Everything is as it should be from now on."""
        self.house.load(0)
        self.standby.resume_replay()

    @contextlib.contextmanager
    def gate_shut(self) -> Iterator[None]:
        """No batch that is begun inside the block ends before the block does."""
        with self.database.connect() as connection:
            connection.execute("select pg_advisory_lock(%s)", [GATE])
            yield

    def wait_at_gate(self) -> None:
        """Wait until a batch is in flight."""
        query = "select 1 from pg_locks where locktype = 'advisory' and objid = %s and not granted"
        wait_for(lambda: self.database.execute(query, [GATE]), within=30, message=lambda: f"a batch:\n{self._said()}")

    def pause_in_flight(self, name: str = NAME, *, by_lag: bool = False) -> None:
        """Bring about a pause while a batch is in flight, let that one end, and wait until the migration has heard."""
        with self.gate_shut():
            paused = self.pause_at_gate(name, by_lag=by_lag)
        self.wait_acknowledged(paused, name)

    def pause_at_gate(self, name: str = NAME, *, by_lag: bool = False) -> float:
        """With the gate shut, bring about a pause while a batch is in flight; the wall time of it."""
        self.wait_at_gate()
        since = time.time()
        if by_lag:
            self.standby.pause_replay()
        else:
            self.house.load(9)
        paused = self.wait_event("paused", name, after=since)
        wait_for(lambda: time.time() > paused + FRESH_FOR)  # until then an earlier answer may be used
        assert [at for kind, at in self.events(name) if kind == "effective" and at > since] == []  # it is in flight
        return paused

    def pile_up(self, run: Callable[[], Running], start: Start) -> float:
        """Run what wants a table for itself while somebody reads it, and have two more readers queue behind that.

        What ends the migration's statement is the guard or, on a slow machine, the recipe's own lock_timeout.
        The seconds until these two were let go. No statement fails but the migration's, and who read first still reads.
        """
        waits = "select 1 from pg_stat_activity where usename = 'migrator' and wait_event = 'relation'"
        with self.database.connect("shop") as first:
            first.execute("begin; select count(*) from users")
            running = run()
            wait_for(lambda: self.database.execute(waits), within=30, message=running.text)
            queued = time.time()
            readers = [start(self.database.dsn("shop"), "select count(*) from users") for _ in range(2)]
            for reader in readers:
                reader.wait()
                assert reader.error is None
            seconds = time.time() - queued
            assert first.execute("select 1").fetchall() == [(1,)]
        return seconds

    # -- what is said --------------------------------------------------------------------------------------------------

    def events(self, name: str = NAME) -> list[tuple[str, float]]:
        """(kind, wall time) of what the guard has said in this test of the migration, oldest first."""
        query = (
            "select kind, extract(epoch from at)::float8 from migration_guard.event "
            "where migration = %s and event_id > %s order by event_id"
        )
        return [(row[0], row[1]) for row in self.database.execute(query, [name, self._since])]

    def wait_event(self, kind: str, name: str = NAME, after: float = 0.0) -> float:
        """Wait until the guard has said so, in this test and after that wall time; when it did."""
        return wait_for(
            lambda: [at for said, at in self.events(name) if said == kind and at > after],
            within=30,
            message=lambda: f"{kind} of {name} in {self.events(name)}:\n{self._said()}",
        )[0]

    def wait_acknowledged(self, since: float, name: str = NAME) -> None:
        """Wait until the migration itself has said, after that wall time, that it keeps to its order."""
        query = "select 1 from migration_guard.run where migration = %s and ended_at is null and acknowledged_at > %s"
        when = datetime.fromtimestamp(since, UTC)
        wait_for(
            lambda: self.database.execute(query, [name, when]),
            within=30,
            message=lambda: f"{name} to acknowledge; {self.events(name)}:\n{self._said()}",
        )

    def batches(self) -> list[float]:
        """Wall times at which batches have begun that are committed."""
        return [row[0] for row in self.database.execute("select at from batch order by at")]

    def outcomes(self, name: str = NAME) -> list[str | None]:
        """Of the runs of a migration, oldest first."""
        query = "select outcome from migration_guard.run where migration = %s order by run_id"
        return [row[0] for row in self.database.execute(query, [name])]

    def _said(self) -> str:
        return "\n".join(running.text()[-2000:] for running in self.running)

    # -- what must be so -----------------------------------------------------------------------------------------------

    def assert_at_rest(self, *, snapshot: float = 0.0) -> None:
        """No batch begins, and the migration's sessions hold nothing, for as long as it takes to see that.

        A lock on a table or a row never, a snapshot for no longer than *snapshot* seconds (and what a question takes).
        """
        before, seen = len(self.batches()), list[Any]()
        end = time.monotonic() + snapshot + NOISE + 0.4  # longer than a snapshot may be old
        with self.database.connect() as eye:
            while time.monotonic() < end:
                seen += eye.execute(SESSIONS).fetchall()
                time.sleep(0.05)
        for state, query, _, age, locks in seen:
            assert not locks, f"{query!r} holds {locks}"
            assert "idle in transaction" not in state, query
            assert age <= snapshot + NOISE, query
        assert snapshot or [query for state, query, pins, *_ in seen if state == "idle" and not pins]
        assert len(self.batches()) == before

    def assert_kept_to_orders(self, name: str = NAME) -> None:
        """No batch was begun while the migration was told to pause, and it was told so."""
        since, windows = None, []
        for kind, at in self.events(name):
            if kind == "paused" and since is None:
                since = at + FRESH_FOR + NOISE
            elif kind in {"resumed", "started", "warned"} and since is not None:
                windows.append((since, at))
                since = None
        assert windows
        assert [at for at in self.batches() for start, end in windows if start < at < end] == []

    def assert_filled(self) -> None:
        """Each row has got what it was to get."""
        query = "select count(*) from users where email_lower is distinct from lower(email)"
        assert self.database.execute(query) == [(0,)]
