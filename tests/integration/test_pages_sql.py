"""Every statement on the pages is one that PostgreSQL takes: blocks are run, and selects in the text understood."""

from __future__ import annotations

import re

import pytest
from psycopg import sql

from guard.act.ddl_gate import DdlGate, install_gate
from guard.act.install import install
from tests.fix_postgres import Database
from tests.pages import blocks, pages, prose

pytestmark = pytest.mark.integration

PEOPLE = """
do $$ begin
    if not exists (select from pg_roles where rolname = 'anna') then create role anna; end if;
    if not exists (select from pg_roles where rolname = 'migrator') then create role migrator; end if;
end $$;
"""
NAMES = {"ID": "7", "ROWS": "1", "BATCHES": "1", "PID": "4711", "pid": "4711"}
"""What stands on the pages for a value."""


def test_every_block_of_sql_runs_and_is_taken_back(database: Database) -> None:
    install(database.dsn())
    install_gate(database.dsn(), DdlGate(("migrator",)))
    found = [block for block in blocks("sql") if not block.file and not block.not_run]
    assert len(found) >= 4
    for block in found:
        with database.connect() as connection, connection.transaction(force_rollback=True):
            connection.execute(PEOPLE)
            if "migration_guard.order_" in block.text:  # as whoever the page says that may
                connection.execute("set local role migration_guard_operator")
            try:
                connection.execute(block.text.encode())
            except Exception as wrong:
                raise AssertionError(f"{block}: {wrong}") from wrong


def test_every_select_in_the_text_names_functions_that_are_there_with_such_parameters(database: Database) -> None:
    install(database.dsn())
    found = [
        (page.name, code)
        for page in pages()
        for code in re.findall(r"`(select\s+migration_guard\.[^`]+)`", prose(page))
    ]
    assert len(found) > 5
    wrong = []
    with database.connect() as connection:
        for page, code in found:
            text = re.sub(r"\b(?:ID|ROWS|BATCHES|PID|pid)\b", lambda name: NAMES[name[0]], code).rstrip(";")
            try:
                with connection.transaction(force_rollback=True):
                    # Prepared, it is understood and not run.
                    connection.execute(sql.SQL("prepare understood as {}").format(sql.SQL(text)))
                    connection.execute("deallocate understood")
            except Exception as error:  # noqa: BLE001 -- whatever it is, it is the answer
                wrong.append(f"{page}: {code}: {error}")
    assert wrong == []
