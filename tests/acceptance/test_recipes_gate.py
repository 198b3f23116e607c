"""The pages of docs/recipes that lean on the DDL gate, run as they are written: tools that know nothing of a guard."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from guard.act.ddl_gate import remove_gate
from tests.acceptance.beside import Beside
from tests.fix_sessions import Background
from tests.recipes import Recipe, recipe
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance

TOOL = "migration:users-email"
SHAPE = """
    select to_regclass('email_audit') is not null,
           exists (select from pg_attribute where attrelid = 'users'::regclass and attname = 'email_lower'),
           coalesce((select indisvalid from pg_index
                     where indexrelid in (to_regclass('users_email_lower'), to_regclass('email_audit_at'))), false),
           col_description('users'::regclass, (select attnum from pg_attribute
                                               where attrelid = 'users'::regclass and attname = 'email_lower'))
"""
WHOLE = [(True, True, True, "the address, for lookups")]


@pytest.fixture
def held(beside: Beside) -> Iterator[Beside]:
    """The gate is there for one test alone."""
    yield beside
    remove_gate(beside.database.dsn())


def prepare(beside: Beside, page: Recipe) -> None:
    """What a superuser does once."""
    beside.run(page, "sh", "-eu", "gate.sh").ends()


def pause(beside: Beside) -> None:
    """Bring about a pause of the tool, which is at work and never registered."""
    beside.house.load(9)
    beside.wait_event("paused", "*")
    beside.house.wait_order("pause", "*", within=30)


def test_a_tool_that_tries_again_on_55p03_is_held_between_two_statements(
    held: Beside, background: Callable[[str, str], Background]
) -> None:
    page = recipe("retrier")
    prepare(held, page)
    with held.database.connect("shop") as reader:
        reader.execute("begin; select count(*) from users")
        tool = held.run(page, "sh", "-eu", "migrate.sh")
        tool.wait_says("canceling statement due to lock timeout", within=30)
        for _ in range(2):  # whoever queues behind it waits for no longer than its lock_timeout
            queued = background(held.database.dsn("shop"), "select count(*) from users")
            queued.wait()
            assert queued.error is None
        pause(held)
        # What waited for its lock when the pause came has begun before it; the next try of it is refused.
        tool.wait_says("must wait (pause): load (http) 9 > 5", within=30)
    held.assert_at_rest()
    assert held.database.execute(SHAPE) == [(True, False, False, None)]
    held.well()
    tool.ends()
    assert held.database.execute(SHAPE) == WHOLE


def test_a_tool_that_runs_files_of_sql_stops_between_two_of_them_and_goes_on_there(held: Beside) -> None:
    page = recipe("plain-sql-tool")
    prepare(held, page)
    done = "select array_agg(version order by version) from schema_migrations"
    waits = "select 1 from pg_stat_activity where application_name = %s and wait_event = 'virtualxid'"
    with held.database.connect("shop") as reader:
        reader.execute("begin isolation level repeatable read; select 1")  # an index that is being built waits for it
        tool = held.run(page, "sh", "-eu", "migrate.sh")
        wait_for(lambda: held.database.execute(waits, [TOOL]), within=30, message=tool.text)
        pause(held)
    tool.wait_says("must wait (pause): load (http) 9 > 5", within=30)  # the index is done, the next file has not begun
    wait_for(lambda: len(held.outcomes("users-email")) == 2, within=30, message=tool.text)
    held.assert_at_rest(snapshot=0.2)
    assert held.database.execute(SHAPE) == [(False, True, True, None)]
    assert held.database.execute(done) == [(["001", "002"],)]
    held.well()
    tool.ends()
    assert held.database.execute(SHAPE) == WHOLE
    assert held.database.execute(done) == [(["001", "002", "003"],)]
