"""Clocks that are set, primaries that change, poolers in between: the daemon goes on, or refuses with the reason."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.act.install import DBA_LINES, install
from guard.demo.embedded import Cluster, Server
from guard.demo.server import free_port
from tests.acceptance.house import House
from tests.fix_http import Endpoint
from tests.fix_postgres import Database, MakeCluster
from tests.slack_server import SlackServer
from tests.tools import tool
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance


def test_a_wall_clock_that_is_set_by_two_hours_stops_no_poll_and_changes_no_state(house: House, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0\n")
    environment = {
        "LD_PRELOAD": str(faketime()),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    daemon = house.serve(environment=environment)
    migrating = house.wait_migrating()
    for count, offset in enumerate(("+2h", "-2h"), 1):
        # At once: half a file would be another time.
        clock.with_suffix(".new").write_text(offset + "\n")
        clock.with_suffix(".new").rename(clock)
        daemon.wait_says("the wall clock was set by " + ("+" if offset == "+2h" else "-"))
        assert len(house.events("paused")) == count - 1
        house.load(9)
        assert "9 > 5" in house.wait_event("paused", count)[2]  # measured: it polls, and does not only age
        house.load(0)
        house.wait_event("resumed", count)
        migrating.wait_starts()
    house.assert_kept_to_orders(migrating)


def faketime() -> Path:
    """The library that shows a process another time."""
    tool("faketime")
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        pytest.skip("libfaketime is not where Debian puts it")
    return found[0]


@pytest.fixture
def pair(
    make_cluster: MakeCluster, tmp_path: Path, endpoint: Endpoint, slack: SlackServer
) -> Iterator[tuple[House, Cluster]]:
    """A house on servers of its own, which may fail over."""
    cluster = make_cluster(1)
    primary = cluster.primary
    install(primary.dsn())
    for role in ("guard_login", "migrator"):
        primary.execute(f"create role {role} login password '{primary.password}'".encode())
    for line in (*DBA_LINES, "grant migration_guard_guard to guard_login", "grant migration_guard_client to migrator"):
        primary.execute(line.encode())
    house = House(Database("postgres", primary), tmp_path, endpoint, slack)
    house.furnish()
    yield house, cluster
    house.close()


def test_after_a_failover_the_guard_leads_on_the_new_primary_and_a_migration_there_goes_on_where_it_was(
    pair: tuple[House, Cluster],
) -> None:
    house, cluster = pair
    standby = cluster.standby
    ports = f"{cluster.primary.port},{standby.port}"
    house.dsn = (
        f"host=127.0.0.1,127.0.0.1 port={ports} user=guard_login password={cluster.primary.password} dbname=postgres"
    )
    house.serve()
    migrating = house.wait_migrating()
    term = house.lease()["term"]
    cluster.wait_replayed()
    cluster.primary.kill()
    killed = time.time()
    assert migrating.wait() == 1  # its connection is gone
    standby.promote()
    # No word of before counts on the new timeline; a quick guard may have led there already.
    assert all(led > term for led in _lease(standby))
    house.database = Database("postgres", standby)
    house.database.server.password = cluster.primary.password
    wait_for(lambda: _lease(standby), within=15, message="the guard to lead on the new primary")
    assert house.lease()["term"] > term
    again = house.wait_migrating()
    assert min(at for at in again.starts if at > killed + 0.5) > house.wait_event("started", 2)[1]
    again.kill()
    house.assert_each_row_once(again)


def _lease(server: Server) -> list[int]:
    return [int(str(term)) for (term,) in server.execute("select term from migration_guard.lease")]


@contextlib.contextmanager
def pgbouncer(program: str, server: Server, directory: Path) -> Iterator[int]:
    """PgBouncer in transaction mode before a server; its port."""
    port = free_port()
    users, config = directory / "users.txt", directory / "pgbouncer.ini"
    users.write_text(f'"guard_login" "{server.password}"\n')
    config.write_text(
        f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = plain\nauth_file = {users}\npool_mode = transaction\n"
        "ignore_startup_parameters = extra_float_digits,options\n"
    )
    account = "nobody" if os.geteuid() == 0 else None
    process = subprocess.Popen(
        [program, "-q", str(config)], user=account, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with wait_for(lambda: socket.create_connection(("127.0.0.1", port), 1), ignoring=(OSError,)):
            pass
        yield port
    finally:
        process.kill()
        process.wait(10)


def test_behind_a_pooler_it_is_refused_with_the_reason(house: House, open_tmp: Path) -> None:
    with pgbouncer(tool("pgbouncer"), house.database.server, open_tmp) as port:
        password = house.database.server.password
        house.dsn = f"host=127.0.0.1 port={port} dbname={house.database.name} user=guard_login password={password}"
        daemon = house.serve(wait=False)
        assert daemon.wait(10) == 3
        assert "connection pooler" in daemon.text()
        assert "Traceback" not in daemon.text()
