"""Standbys that come and go, copies that are taken of a primary, and slots that keep its WAL; with the real daemon."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guard.demo.embedded import Cluster, Server
from guard.demo.proxy import Proxy
from guard.model import Reading
from guard.poll.replication import ReplicationProbe
from guard.postgres import Door
from tests.acceptance.house import LAG, LOAD, House
from tests.acceptance.scenario import Play
from tests.fix_matrix import Took
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance

SLOTS = """
[[rule]]
name   = "slots"
metric = "replication.retained_bytes"
pause  = "> 20MB"
resume = "< 10MB for 300ms"
"""


@pytest.mark.fault(40)
def test_a_line_to_the_standby_that_goes_dead_without_a_word_pauses_before_the_primary_notices(
    play: Play, cluster: Cluster, make_proxy: Callable[[int], Proxy]
) -> None:
    line = make_proxy(cluster.primary.port)
    cluster.standby.follow(line.port, cluster.primary)
    wait_for(lambda: line.connections)
    cluster.wait_streaming()
    try:
        play.at(0.5).happens(line.freeze).paused(within=6, because="replica1")
        play.holds(within=6)
        assert states(cluster.primary)["replica1"] == "streaming"
        play.happens(line.heal).proceeds(within=6)
    finally:
        cluster.standby.follow(cluster.primary.port, cluster.primary)


@pytest.mark.fault(41)
def test_a_standby_that_comes_and_goes_lets_no_batch_begin_until_it_has_stayed(play: Play) -> None:
    play.house.rules = LAG.replace("for 500ms", "for 2s")
    play.at(0.5).kill("standby").paused(within=5)
    first = play.now
    for _ in range(2):
        play.start("standby")
        play.cluster.wait_streaming()
        play.at(play.now + 0.6).kill("standby").at(play.now + 0.3)
    play.no_batch_between(first + 0.7, play.now)
    play.start("standby").proceeds(within=8)
    assert len(play.house.events("paused")) == 1  # one message, however often it came and went
    play.all_told()


@pytest.mark.fault(41)
def test_what_comes_and_goes_again_and_again_pauses_each_time_and_is_told_a_few_times(house: House) -> None:
    house.rules = LOAD.replace("for 300ms", "for 100ms")
    house.serve()
    migrating = house.wait_migrating()
    for count in range(1, 6):
        house.load(9)
        house.wait_event("paused", count)
        house.load(0)
        house.wait_event("resumed", count)
    house.assert_kept_to_orders(migrating)
    house.assert_all_told()
    told = [request.payload["text"] for request in house.slack.requests]
    assert sum("backfill paused" in text for text in told) == 3, told
    assert sum("backfill resumed" in text for text in told) == 3, told
    assert "comes and goes" in str([request.payload for request in house.slack.requests])


# -- copies of the primary ---------------------------------------------------------------------------------------------


@pytest.fixture
def newcomer(cluster: Cluster) -> Iterator[Server]:
    """A standby that does not exist yet, replica9; it and its files go with the test."""
    server = cluster._server("replica9")
    yield server
    server.stop("immediate")
    shutil.rmtree(server.data_dir, ignore_errors=True)


def states(primary: Server) -> dict[str, str]:
    """Every walsender, by name and state."""
    return dict(primary.execute("select application_name, state from pg_stat_replication"))


@pytest.mark.fault(42)
def test_a_base_backup_a_wal_archiver_and_a_standby_that_joins_pause_nobody(
    play: Play, cluster: Cluster, newcomer: Server, open_tmp: Path
) -> None:
    play.house.standbys, primary = "1", cluster.primary
    play.begin()
    line = ["-h", "127.0.0.1", "-p", str(primary.port), "-U", "postgres"]
    environment = {**os.environ, "PGPASSWORD": cluster.password}
    with contextlib.ExitStack() as running:
        archive = [cluster.binaries.path("pg_receivewal"), *line, "-D", str(open_tmp)]
        archiver = running.enter_context(subprocess.Popen(archive, env=environment, stderr=subprocess.DEVNULL))
        running.callback(archiver.kill)
        wait_for(lambda: "pg_receivewal" in states(primary))
        cluster._run(
            [
                *("/usr/bin/env", f"PGPASSWORD={cluster.password}", cluster.binaries.path("pg_basebackup"), *line),
                *("-D", str(newcomer.data_dir), "--checkpoint=fast", "--max-rate=16M", "--no-sync"),
            ]
        )
        newcomer.follow(primary.port, primary)
        (newcomer.data_dir / "standby.signal").touch()
        newcomer.start()
        wait_for(lambda: states(primary).get("replica9") == "streaming", message=newcomer.log_text)
        newcomer.pause_replay()  # it lags from now on, and nobody expects it to keep up yet
        play.at(play.now + 2.5)
        assert {"replica1", "pg_receivewal", "replica9"} <= states(primary).keys()
        for expected in (("replica1",), 1):
            assert isinstance(asyncio.run(_lag(primary, expected)), Reading)
    play.never("paused", "warned")
    assert play.migration is not None
    assert play.migration.starts[-1] > time.time() - 1


async def _lag(primary: Server, standbys: tuple[str, ...] | int) -> object:
    probe = ReplicationProbe(Door(primary.dsn(), purpose="replication"), standbys)
    try:
        return (await probe.poll()).samples[1]
    finally:
        await probe.close()


# -- slots -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def slot(cluster: Cluster) -> Iterator[Callable[[], object]]:
    """``slot()`` keeps WAL from now on for a consumer that never comes; it goes with the test at the latest."""
    yield lambda: cluster.primary.execute("select pg_create_physical_replication_slot('late', true)")
    drop = "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = 'late'"
    cluster.primary.execute(drop)


@pytest.mark.fault(43)
def test_wal_that_a_slot_keeps_pauses_a_migration_until_the_slot_is_gone(
    house: House, cluster: Cluster, slot: Callable[[], object], took: Took
) -> None:
    house.rules = SLOTS
    house.serve()
    migrating = house.wait_migrating()
    slot()
    for _ in range(2):
        cluster.primary.execute("select pg_switch_wal() from pg_logical_emit_message(true, 'load', 'x')")
    with took.within(3):
        paused = house.wait_event("paused")
    assert "replication.retained_bytes" in paused[2]
    assert "slot late, inactive, wal_status" in paused[2]
    cluster.primary.execute("select pg_drop_replication_slot('late')")
    house.wait_event("resumed")
    migrating.wait_starts()
    house.assert_kept_to_orders(migrating)
    house.assert_all_told()
