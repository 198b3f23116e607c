"""The server goes away, refuses or is overrun: the migration holds, one message says why, and all goes on after it."""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from guard.demo.embedded import Cluster, Server
from tests.acceptance.conftest import Alone
from tests.acceptance.house import FRESH_FOR, LAG, LEASE, LOAD, NOISE, QUEUE, House, Migrating
from tests.acceptance.telling import status, told, wait_told
from tests.fix_matrix import Took
from tests.fix_sessions import Background
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance

Start = Callable[[str, str], Background]
BACK = 5.0
"""Seconds in which a guard has to be back at work after its server is."""


def crash(server: Server, how: str) -> None:
    if how == "kill -9 of a backend":
        [(pid,)] = server.execute(
            "select pid from pg_stat_activity where application_name = 'migration_guard/listen' limit 1"
        )
        os.kill(pid, signal.SIGKILL)
    else:
        server.restart("immediate" if how == "immediate" else "fast")


def next_start(migrating: Migrating, after: float) -> float:
    """When the first batch after a moment began; waits for it."""
    return wait_for(
        lambda: [at for at in migrating.starts if at > after],
        within=20,
        message=lambda: f"a batch; it says: {migrating.lines()[-3:]} {migrating.text()[-1000:]}",
    )[0]


@pytest.mark.fault(17, 18)
def test_a_server_that_restarts_or_crashes_is_led_again_at_once_and_nobody_is_woken_for_it(
    alone: Alone, took: Took
) -> None:
    house, cluster = alone(1)
    house.rules, house.standbys = LAG, '["replica1"]'
    house.serve()
    migrating = house.wait_migrating()
    for crashes, how in enumerate(("fast", "immediate", "kill -9 of a backend"), 1):
        at, terms = time.time(), house.lease()["term"]
        crash(cluster.primary, how)
        assert migrating.wait() == 1  # its own session is gone: that is its own error
        migrating = house.migrate()
        first = next_start(migrating, at + 0.1)
        took(first - at)
        assert first < at + BACK + NOISE
        assert house.lease()["term"] == terms + 1
        wait_told(house, "backfill vanished", times=crashes)
    assert told(house, "cannot") == []
    assert {kind for kind, _, _ in house.events()} <= {"registered", "started", "applied", "gone"}
    house.assert_each_row_once(migrating)
    house.assert_all_told()


@pytest.mark.fault(17)
def test_a_server_that_stays_away_is_told_of_once_with_the_reason_and_once_when_it_is_back(
    alone: Alone, took: Took
) -> None:
    house, cluster = alone(1)
    house.rules, house.standbys = LAG, '["replica1"]'
    house.serve()
    migrating = house.wait_migrating()
    cluster.primary.stop("fast")
    gone = time.time()
    assert migrating.wait() == 1
    wait_told(house, "migration-guard cannot signal: signal: no connection to PostgreSQL: ", within=6)
    assert "Connection refused" in told(house, "cannot signal")[0]
    # By now each probe waits for seconds between two tries.
    wait_for(lambda: time.time() > gone + 5.5, within=8)
    cluster.primary.start()
    back = time.time()
    migrating = house.migrate()
    first = next_start(migrating, back)
    took(first - back)
    assert first < back + BACK + NOISE
    wait_told(house, "migration-guard can signal again")
    assert len(told(house, "migration-guard")) == 2


@pytest.mark.fault(20)
def test_on_a_server_that_takes_no_writes_the_guard_says_so_once_and_the_migration_holds(
    alone: Alone, took: Took
) -> None:
    house, cluster = alone()
    # The migration itself could go on: what holds it is the lease.
    cluster.primary.execute("alter role migrator set default_transaction_read_only = off")
    house.serve()
    migrating = house.wait_migrating()
    cluster.primary.execute("alter system set default_transaction_read_only = on")
    cluster.primary.execute("select pg_reload_conf()")
    since = time.time()
    wait_told(house, "migration-guard cannot signal: signal: PostgreSQL refused: cannot execute INSERT in a read-only")
    wait_for(lambda: time.time() > since + LEASE + FRESH_FOR + 2)
    held = max(migrating.starts)
    assert held < since + LEASE + FRESH_FOR + NOISE
    # By the server's clock, or by that of the migration's machine: whichever ran out first.
    assert re.search("has been silent for|has stood still", migrating.lines("waits")[-1]["words"])
    with cluster.primary.connect() as admin:
        admin.execute("set default_transaction_read_only = off")
        admin.execute("alter system reset default_transaction_read_only")
        admin.execute("select pg_reload_conf()")
    healed = time.time()
    took(held - since)
    assert next_start(migrating, healed) < healed + 2 + NOISE
    wait_told(house, "migration-guard can signal again")
    wait_told(house, "cannot signal")
    assert {kind for kind, _, _ in house.events()} <= {"registered", "started", "applied"}


@pytest.mark.fault(22)
def test_without_a_free_connection_the_open_ones_go_on_the_queue_is_cancelled_and_the_cause_is_named(
    alone: Alone, background: Start, took: Took
) -> None:
    house, cluster = alone(max_connections="40")
    server = cluster.primary
    server.execute("create role app login password 'app'; create table u (); grant all on u to app")
    server.execute("alter table u owner to migrator")
    house.rules = LOAD + QUEUE
    daemon = house.serve()
    migrating = house.wait_migrating()
    app = server.dsn("app", password="app")
    names = [app, server.dsn("migrator", application_name="migration:alter"), app, app]
    sessions = [background(dsn, "select") for dsn in names]
    for session in sessions:
        session.wait()
    with contextlib.ExitStack() as full:
        exhaust(full, app)
        daemon.freeze()  # so that the place of its session is taken before it comes back
        server.execute(
            "select pg_terminate_backend(pid, 1000) from pg_stat_activity where application_name like '%/roster'"
        )
        exhaust(full, app)
        daemon.thaw()
        wait_told(house, "migration-guard cannot see who migrates: roster: no connection to PostgreSQL: ")
        assert "remaining connection slots are reserved" in told(house, "cannot see")[0]
        with server.connect() as admin, took.within(0.5 + 2 + NOISE):
            pile_up(admin, *sessions)
        migrating.wait_starts()
        house.load(9)
        house.wait_event("paused")
        assert "cannot see who migrates" in status(house)
    wait_told(house, "migration-guard can see who migrates again", within=15)
    wait_told(house, "cannot see")


def pile_up(
    admin: psycopg.Connection[tuple[object, ...]], holder: Background, alter: Background, *readers: Background
) -> None:
    """An ALTER waits for a reader and holds up others, until it is cancelled; they then read."""
    holder.restart("begin; select from u; select pg_sleep(60)")
    holds = "select pid from pg_locks where pid = %s and relation = 'u'::regclass"
    wait_for(lambda: admin.execute(holds, [holder.pid]).fetchone())
    alter.restart("alter table u add column c int")
    alter.wait_blocked(admin)
    for reader in readers:
        reader.restart("select from u")
    alter.wait()
    assert "canceling statement due to user request" in str(alter.error)
    for reader in readers:
        reader.wait()
        assert reader.error is None


def exhaust(full: contextlib.ExitStack, dsn: str) -> None:
    """Take every connection that there is for others than superusers, until the stack is closed."""
    refused = 0
    while refused < 5:  # the place of a session that is about to end becomes free a moment later
        try:
            full.enter_context(contextlib.closing(psycopg.connect(dsn)))
            refused = 0
        except psycopg.OperationalError as error:
            assert "connection slots are reserved" in str(error)  # noqa: PT017 -- how many there are, nobody knows
            refused += 1
            time.sleep(0.05)


@pytest.mark.fault(26)
def test_on_an_overrun_server_a_breach_still_pauses_in_time_and_nobody_is_cancelled(
    house: House, cluster: Cluster, open_tmp: Path, took: Took
) -> None:
    house.rules = LOAD + QUEUE
    house.guard = 'probe_deadline = "1s"'
    house.serve()
    migrating = house.wait_migrating()
    script = open_tmp / "heavy.sql"
    script.write_text("select sum(g) from generate_series(1, 400000) g;\n")
    server = house.database.server
    command = [cluster.binaries.path("pgbench"), "-n", "-c", "16", "-T", "5", "-f", str(script)]
    where = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": "postgres", "PGPASSWORD": server.password}
    with subprocess.Popen(
        [*command, "postgres"], env={**os.environ, **where}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as bench:
        active = "select count(*) from pg_stat_activity where application_name = 'pgbench' and state = 'active'"
        wait_for(lambda: house.database.execute(active.encode())[0][0] >= 12, message=lambda: "pgbench at work")
        house.load(9)
        asked = time.time()
        paused = house.wait_event("paused")
        took(paused[1] - asked)
        assert paused[1] < asked + 0.1 + 1 + 2 * NOISE
        assert bench.wait(20) == 0, bench.stdout.read() if bench.stdout else ""
    house.load(0)
    migrating.wait_starts()
    assert not {"cancelled", "cancel_failed"} & {kind for kind, _, _ in house.events()}
    assert "Traceback" not in house.processes[0].text()
    house.assert_kept_to_orders(migrating)


@pytest.mark.fault(30)
def test_a_missing_synchronous_standby_holds_up_no_beat_and_no_pause(alone: Alone, took: Took) -> None:
    house, cluster = alone()
    house.serve()
    migrating = house.wait_migrating()
    cluster.primary.execute("alter system set synchronous_standby_names = 'gone'")
    cluster.primary.execute("select pg_reload_conf()")
    waits = b"select pid from pg_stat_activity where wait_event = 'SyncRep' and application_name = 'migration:backfill'"
    wait_for(lambda: cluster.primary.execute(waits) != [], message="the migration's own commit to wait for it")
    beat = house.lease()["beat"]
    asked = time.time()
    house.load(9)
    paused = house.wait_event("paused")
    took(paused[1] - asked)
    assert paused[1] < asked + 0.1 + NOISE
    wait_for(lambda: house.lease()["beat"] >= beat + 3, within=4)
    assert cluster.primary.execute(waits) != []
    house.load(0)
    house.wait_event("resumed")
    cluster.primary.execute("alter system reset synchronous_standby_names")
    cluster.primary.execute("select pg_reload_conf()")
    migrating.wait_starts()
    assert told(house, "cannot") == []
