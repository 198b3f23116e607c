"""A database with the DDL gate, a guard's word in it, and sessions of a migration."""

import contextlib

import psycopg
import pytest

from guard.act.ddl_gate import DdlGate, install_gate
from tests.contract import Contract
from tests.fix_postgres import Database, Row
from tests.shipped import as_client

Session = psycopg.Connection[Row]
GATE = DdlGate(("shipped_client",), ("migration:*",))
Refused = psycopg.errors.LockNotAvailable


class Gated:
    """A database with the gate, a guard's word, and sessions of the migration `m`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.contract = Contract(database)
        self._opened = contextlib.ExitStack()
        self.session = self.migration()
        self.session.execute("create table t (id int)")
        install_gate(database.dsn(), GATE)

    def migration(self, name: str = "migration:m", **more: str) -> Session:
        """A session of the migration's role; the server gives up what takes longer than 15 s."""
        dsn = self.database.dsn(application_name=name, options="-c statement_timeout=15s", **more)
        return self._opened.enter_context(psycopg.connect(as_client(dsn), autocommit=True))

    def refused(self, statement: str = "create table x ()", by: Session | None = None) -> str:
        """The words with which it is refused."""
        with pytest.raises(Refused) as caught:
            (by or self.session).execute(statement.encode())
        return str(caught.value.diag.message_primary)

    def passes(self, by: Session | None = None) -> None:
        """DDL goes on, and is done."""
        (by or self.session).execute("create table x (); drop table x")

    def close(self) -> None:
        self._opened.close()
        self.contract.close()
