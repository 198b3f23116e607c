"""The pages of docs/recipes for scripts and loops, run as they are written beside the real guard."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.beside import NAME, Beside, Start
from tests.acceptance.house import NOISE
from tests.acceptance.pooler import pgbouncer
from tests.recipes import recipe
from tests.tools import tool

pytestmark = pytest.mark.acceptance

INDEX = "select indisvalid from pg_index where indexrelid = to_regclass('users_email_lower')"
SHELL = ("sh", "-eu")
WAITED = 0.5
"""How long each of two readers must have waited by the guard's rule, in seconds."""


def assert_obeys(beside: Beside, *, snapshot: float = 0.0, by_lag: bool = False) -> None:
    """What was just started stops after the batch in flight, holds nothing, goes on, and does all that it is to do."""
    beside.pause_in_flight(by_lag=by_lag)
    beside.assert_at_rest(snapshot=snapshot)
    assert len(beside.batches()) == 1
    beside.well()
    beside.running[-1].ends()
    beside.assert_kept_to_orders()
    beside.assert_filled()
    assert beside.outcomes()[-1] == "done"


def test_a_psql_script_waits_between_two_batches_while_a_standby_lags(beside: Beside) -> None:
    beside.run(recipe("psql"), *SHELL, "migrate.sh")
    assert_obeys(beside, snapshot=1.0, by_lag=True)
    assert beside.database.execute(INDEX) == [(True,)]


def test_a_psql_script_that_others_queue_behind_is_tried_again_and_mends_what_is_half_built(
    beside: Beside, background: Start
) -> None:
    database = beside.database
    database.execute("alter table users add email_lower text")
    database.execute("create index users_email_lower on users (email_lower)")
    database.execute("update pg_index set indisvalid = false where indexrelid = 'users_email_lower'::regclass")
    seconds = beside.pile_up(lambda: beside.run(recipe("psql"), *SHELL, "migrate.sh"), background)
    assert seconds < WAITED + 1.5 + NOISE
    beside.running[-1].ends()
    beside.assert_filled()
    assert database.execute(INDEX) == [(True,)]


def test_a_python_loop_waits_between_two_batches(beside: Beside) -> None:
    beside.database.execute("alter table users add email_lower text")
    beside.run(recipe("python"), "python", "backfill.py")
    assert_obeys(beside)
    done = "select rows_done from migration_guard.run order by run_id desc limit 1"
    assert beside.database.execute(done) == [(6000,)]


@pytest.mark.fault(28)
def test_a_python_loop_behind_pgbouncer_waits_between_two_batches(beside: Beside, open_tmp: Path) -> None:
    beside.database.execute("alter table users add email_lower text")
    with pgbouncer(tool("pgbouncer"), beside.database.server, open_tmp, "transaction") as port:
        beside.run(recipe("pgbouncer"), "python", "backfill.py", port=port)
        assert_obeys(beside)
    pooled = "select pooled from migration_guard.run where migration = %s order by run_id desc limit 1"
    assert beside.database.execute(pooled, [NAME]) == [(True,)]


@pytest.mark.parametrize("pooled", [False, True], ids=["straight", "pgbouncer"])
def test_a_node_loop_that_asks_in_sql_waits_between_two_batches(
    beside: Beside, node_modules: Path, open_tmp: Path, *, pooled: bool
) -> None:
    beside.database.execute("alter table users add email_lower text")
    modules = str(node_modules)
    if not pooled:
        beside.run(recipe("node"), "node", "backfill.js", NODE_PATH=modules)
        assert_obeys(beside)
    else:
        recipe("node").write(beside.directory)
        with pgbouncer(tool("pgbouncer"), beside.database.server, open_tmp, "transaction") as port:
            beside.run(recipe("pgbouncer"), *SHELL, "migrate.sh", port=port, NODE_PATH=modules)
            assert_obeys(beside)
    newest = "select pooled, rows_done from migration_guard.run where migration = %s order by run_id desc limit 1"
    assert beside.database.execute(newest, [NAME]) == [(pooled, 6000)]
