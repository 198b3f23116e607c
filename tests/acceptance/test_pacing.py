"""A migration that paces itself by what the guard's standbys have still to replay; with the real daemon."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import psycopg
import pytest

from guard.client import Migration
from guard.demo.embedded import Cluster
from guard.demo.proxy import Proxy
from tests.acceptance.house import LAG, House
from tests.beating import in_thread
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance

MB = 1 << 20
BATCH = "select pg_logical_emit_message(true, 'batch', repeat('x', 200000))"


def migrate(house: House, batches: Iterable[object], *, paced: bool) -> None:
    """A backfill that writes up to 10 MB/s, 200 kB with each batch."""
    dsn = house.database.dsn("migrator", application_name="migration:backfill")
    with psycopg.connect(dsn, autocommit=True) as connection, Migration(connection, "backfill", poll=0.05) as migration:
        for _ in migration.pace(batches, window=True if paced else None):
            connection.execute(BATCH)
            time.sleep(0.02)  # a batch's work


def test_beside_a_slow_standby_a_paced_migration_needs_no_pause_where_one_that_is_not_does(
    house: House, cluster: Cluster, make_proxy: Callable[[int], Proxy]
) -> None:
    house.standbys, house.rules = '["replica1"]', LAG.replace("> 1s", "> 2s").replace("< 500ms", "< 1500ms")
    line = make_proxy(cluster.primary.port)
    cluster.standby.follow(line.port, cluster.primary)
    wait_for(lambda: line.connections)
    cluster.wait_streaming()
    try:
        house.serve()
        line.limit(2 * MB)
        migrate(house, range(30), paced=True)  # 6 MB, and so 2.4 s of lag for whoever does not wait
        assert house.events("paused") == []
        said = house.database.execute("select report -> 'pacing' from migration_guard.report")
        assert said == [({"standbys": ["replica1"], "lag": 2.0},)]
        until_paused = iter(lambda: bool(house.events("paused")), True)
        with in_thread(lambda: migrate(house, until_paused, paced=False)):
            house.wait_event("paused")
            line.limit(None)
    finally:
        line.limit(None)
        cluster.standby.follow(cluster.primary.port, cluster.primary)
