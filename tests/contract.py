"""Schema migration_guard in a test's own database, and a guard's word put into it."""

import contextlib
import json
from typing import Any

import psycopg
from psycopg import sql

from guard.act.install import install
from tests.fix_postgres import Database
from tests.shipped import as_client, as_guard, as_operator
from tests.waiting import wait_for

Row = tuple[Any, ...]


class Contract:
    """A database with the schema, written to as a leading guard would."""

    def __init__(self, database: Database, *, subscribers_prepared: bool = False) -> None:
        self.database = database
        install(database.dsn(), subscribers_prepared=subscribers_prepared)
        self._opened = contextlib.ExitStack()
        self.guard = self._open(as_guard(database.dsn()))
        self.lead()

    def lead(self) -> None:
        """Take a new term on the guard's connection."""
        self.term = self.guard.execute("select migration_guard.guard_lead('g1')").fetchall()[0][0]

    def publish(
        self,
        orders: dict[str, str] | None = None,
        *,
        mode: str = "live",
        epoch: int = 1,
        lease: float = 30.0,
        admitted: tuple[int, ...] = (),
        barred: tuple[tuple[int, str, str], ...] = (),
    ) -> None:
        """One beat; *orders* by migration, such as {"m": "pause"}."""
        words = {
            name: {"kind": kind, "because": f"{kind} for a test", "since": 1} for name, kind in (orders or {}).items()
        }
        self.guard.execute(
            "select migration_guard.guard_publish('g1', %s, %s, %s, %s, %s, 0, '[]', %s, %s)",
            [self.term, mode, epoch, json.dumps(words), lease, list(admitted), json.dumps(barred)],
        )

    def _open(self, dsn: str) -> psycopg.Connection[Row]:
        return self._opened.enter_context(contextlib.closing(psycopg.connect(dsn, autocommit=True)))

    def run(self, name: str = "m", **options: Any) -> int:
        """Register a run on a connection of its own, which stays open."""
        self.client = self._open(as_client(self.database.dsn()))
        named = "".join(f", {key} => %s" for key in options)
        query = f"select migration_guard.register(%s{named})".encode()
        return int(self.client.execute(query, [name, *options.values()]).fetchall()[0][0])

    def admitted_run(self, order: str = "proceed", name: str = "m") -> int:
        """A run that the guard has admitted and given *order*."""
        run = self.run(name)
        self.publish({name: order}, admitted=(run,))
        return run

    def read(self, run: int | None, name: str = "m") -> tuple[str, str]:
        """Kind and reason of what the migration is told."""
        rows = self.database.execute("select kind, because from migration_guard.read_order(%s, %s)", [name, run])
        return rows[0][0], rows[0][1]

    def kind(self, run: int | None, name: str = "m") -> str:
        return self.read(run, name)[0]

    def operator(self, what: str, name: str = "m", *, expires: str | None = None) -> int:
        query = f"select migration_guard.order_{what}(%s, 'ana', 'for a test', %s::timestamptz)".encode()
        return self._ordered(query, [name, expires])

    def withdraw(self, what: str, name: str = "m") -> int:
        return self._ordered(b"select migration_guard.withdraw(%s, %s, 'ana')", [name, what])

    def _ordered(self, query: bytes, values: list[str | None]) -> int:
        with psycopg.connect(as_operator(self.database.dsn()), autocommit=True) as operator:
            return int(operator.execute(query, values).fetchall()[0][0])

    def run_row(self, run: int, columns: str) -> Row:
        query = sql.SQL("select {} from migration_guard.run where run_id = %s")
        return self.database.execute(query.format(sql.SQL(",").join(map(sql.Identifier, columns.split()))), [run])[0]

    def close(self) -> None:
        """Close every connection that was opened here."""
        self._opened.close()

    def next_run(self) -> int:
        """End the session of the last run and register the next, as soon as the server has noticed."""
        self.client.close()
        return wait_for(self.run, ignoring=(psycopg.errors.ObjectInUse,))
