"""PgBouncer in between: the guard refuses it with the reason, a migration behind it keeps to its orders."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from tests.acceptance.house import House, Migrating
from tests.acceptance.pooler import pgbouncer
from tests.fix_matrix import Took
from tests.tools import tool

pytestmark = pytest.mark.acceptance

Pool = Callable[[str], AbstractContextManager[int]]


@pytest.fixture
def pool(house: House, open_tmp: Path) -> Pool:
    """``pool(mode)``: PgBouncer before the house's server; its port."""
    program = tool("pgbouncer")
    return lambda mode: pgbouncer(program, house.database.server, open_tmp, mode)


@pytest.mark.fault(27)
@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_behind_a_pooler_the_guard_is_refused_with_the_reason(house: House, pool: Pool, mode: str) -> None:
    with pool(mode) as port:
        house.dsn = make_conninfo(house.database.dsn("guard_login"), port=port)
        daemon = house.serve(wait=False)
        assert daemon.wait(10) == 3
        assert "leads through a connection pooler" in daemon.text()
        assert "Traceback" not in daemon.text()


@pytest.mark.fault(28)
def test_a_migration_behind_a_transaction_pooler_keeps_to_its_orders_and_leaves_no_lock_behind(
    house: House, pool: Pool, took: Took
) -> None:
    house.serve()
    locks = (
        "select count(*) from pg_locks join pg_stat_activity using (pid) "
        "where locktype = 'advisory' and usename = 'migrator'"
    )
    with pool("transaction") as port:
        dsn = make_conninfo(house.database.dsn("migrator"), port=port)
        migrating = Migrating(dsn, house.directory / "backfill.jsonl", {"prepare": False})
        house.processes.append(migrating)
        migrating.wait_starts()
        house.load(9)
        paused = house.wait_event("paused")[1]
        house.wait_event("effective")  # it has read the order, on whatever server session
        took(house.events("effective")[0][1] - paused)
        house.load(0)
        house.wait_event("resumed")
        migrating.wait_starts()
        assert house.database.execute("select pooled from migration_guard.run") == [(True,)]
        assert house.database.execute(locks) == [(0,)]
        migrating.kill()
        house.assert_kept_to_orders(migrating)
        house.assert_each_row_once(migrating)
        assert house.database.execute(locks) == [(0,)]
