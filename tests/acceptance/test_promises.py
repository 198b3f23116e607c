"""What the guard may never cost, seen from the server while it guards, pauses and lets go on."""

from __future__ import annotations

import time

import psycopg
import pytest

from tests.acceptance.house import LAG, LOAD, QUEUE, House

pytestmark = pytest.mark.acceptance

IN_TRANSACTION = """
select application_name, state, extract(epoch from clock_timestamp() - xact_start)::float8
  from pg_stat_activity
 where application_name like 'migration_guard/%' and datname = current_database()
   and clock_timestamp() - xact_start > interval '500 ms'
"""
LOCKS_ON_TABLES = """
select a.application_name, c.oid::regclass::text, l.mode
  from pg_locks l join pg_stat_activity a using (pid) join pg_class c on c.oid = l.relation
  join pg_namespace n on n.oid = c.relnamespace
 where a.application_name like 'migration_guard/%' and a.datname = current_database() and l.database <> 0
   and n.nspname not in ('pg_catalog', 'pg_toast', 'migration_guard')
"""
OLDEST = "select max(age(backend_xmin)) from pg_stat_activity where application_name like 'migration_guard/%'"
PAUSED = """
select state, xact_start, backend_xid, backend_xmin
  from pg_stat_activity where application_name = 'migration:backfill'
"""
ITS_LOCKS = """
select c.oid::regclass::text, l.mode
  from pg_locks l join pg_stat_activity a using (pid) join pg_class c on c.oid = l.relation
  join pg_namespace n on n.oid = c.relnamespace
 where a.application_name = 'migration:backfill' and n.nspname = 'public'
"""


def samples(
    connection: psycopg.Connection[tuple[object, ...]], query: str, *, seconds: float
) -> list[tuple[object, ...]]:
    """All rows that a query gives in so many seconds of asking without a pause."""
    found: list[tuple[object, ...]] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found += connection.execute(query.encode()).fetchall()
    return found


def test_the_guard_holds_no_transaction_and_no_lock_on_a_users_table_and_neither_does_who_is_paused(
    house: House,
) -> None:
    house.rules, house.standbys = LAG + QUEUE + LOAD, '["replica1"]'
    house.serve()
    house.wait_migrating()
    with house.database.connect() as watching:
        for load in (0, 9):
            house.load(load)
            if load:
                house.wait_event("effective")
            assert samples(watching, IN_TRANSACTION, seconds=0.7) == []
            assert samples(watching, LOCKS_ON_TABLES, seconds=0.7) == []
        seen = samples(watching, PAUSED, seconds=0.7)
        assert ("idle", None, None, None) in seen
        for paused in seen:
            # Between two of its questions; in one it has a snapshot for a fraction of a millisecond, as any query has.
            assert paused == ("idle", None, None, None) or paused[0] == "active"
        assert samples(watching, ITS_LOCKS, seconds=0.3) == []
        [(held,)] = watching.execute(OLDEST.encode()).fetchall()
        assert held is None or held < 1000
        with house.database.connect(application_name="migration_guard/control") as wrong, wrong.transaction():
            wrong.execute("lock table t in access share mode")
            # So that the silence above means something.
            assert samples(watching, LOCKS_ON_TABLES, seconds=0.1) != []
            assert samples(watching, IN_TRANSACTION, seconds=1) != []
