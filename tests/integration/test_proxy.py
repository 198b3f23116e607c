"""The line between two programs fails as lines do: silence, reset, slowness; and heals."""

import time
from collections.abc import Callable

import psycopg
import pytest

from guard.demo.embedded import Server
from guard.demo.proxy import Proxy
from tests.fix_postgres import Database, MakeCluster
from tests.fix_sessions import Background
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

Start = Callable[[str, str], Background]


def test_a_healthy_line_passes_all(proxy: Proxy, database: Database) -> None:
    with psycopg.connect(proxy.dsn(database.dsn())) as connection:
        assert connection.execute("select repeat('x', 1000000)").fetchall() == [("x" * 1000000,)]
    assert proxy.passed["to_client"] > 1000000
    wait_for(lambda: proxy.connections == 0, message="the closed connection to be forgotten")


def test_a_frozen_line_keeps_the_connection_and_delivers_when_healed(
    proxy: Proxy, database: Database, background: Start
) -> None:
    database.execute("create table t (n int)")
    session = background(proxy.dsn(database.dsn()), "select pg_sleep(0)")
    session.wait()
    proxy.freeze()
    passed = proxy.passed
    session.restart("insert into t values (1)")
    wait_for(lambda: proxy.connections == 1, message="the connection to be there still")
    assert database.execute("select count(*) from t") == [(0,)]
    assert proxy.passed == passed
    assert session.running
    proxy.heal()
    session.wait()
    assert database.execute("select count(*) from t") == [(1,)]


def test_an_answer_can_be_lost_while_the_work_is_done(proxy: Proxy, database: Database, background: Start) -> None:
    database.execute("create table t (n int)")
    session = background(proxy.dsn(database.dsn()), "select 1")
    session.wait()
    proxy.freeze("to_client")
    session.restart("insert into t values (1)")
    wait_for(lambda: database.execute("select count(*) from t") == [(1,)], message="the commit on the server")
    assert session.running
    proxy.cut()
    session.wait()
    assert isinstance(session.error, psycopg.OperationalError)


def test_a_new_connection_on_a_frozen_line_hears_nothing(proxy: Proxy, database: Database) -> None:
    proxy.freeze()
    with pytest.raises(psycopg.errors.ConnectionTimeout):
        psycopg.connect(proxy.dsn(database.dsn()), connect_timeout=2)


def test_a_cut_line_resets_old_and_new_connections_until_it_is_healed(proxy: Proxy, database: Database) -> None:
    dsn = proxy.dsn(database.dsn())
    with psycopg.connect(dsn, autocommit=True) as connection:
        proxy.cut()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(dsn)
        proxy.heal()
        psycopg.connect(dsn).close()


def test_a_server_that_is_down_is_a_reset_not_a_hang(
    make_cluster: MakeCluster, make_proxy: Callable[[int], Proxy]
) -> None:
    server = make_cluster(0).primary
    proxy = make_proxy(server.port)
    server.stop()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(proxy.dsn(server.dsn()), connect_timeout=5)


def test_a_limited_line_takes_its_time(proxy: Proxy, database: Database) -> None:
    proxy.limit(200_000)
    with psycopg.connect(proxy.dsn(database.dsn())) as connection:
        began = time.monotonic()
        connection.execute("select repeat('x', 200000)").fetchall()
        assert time.monotonic() - began >= 0.9


def test_a_standby_can_be_led_through_a_line(make_cluster: MakeCluster, make_proxy: Callable[[int], Proxy]) -> None:
    cluster = make_cluster(1)
    proxy = make_proxy(cluster.primary.port)
    cluster.standby.follow(proxy.port, cluster.primary)
    source = "select sender_port from pg_stat_wal_receiver where status = 'streaming'"
    wait_for(lambda: cluster.standby.execute(source) == [(proxy.port,)], message="the standby to use the line")
    proxy.freeze()
    cluster.primary.execute("create table t as select 1")
    assert behind(cluster.primary)
    proxy.heal()
    wait_for(lambda: not behind(cluster.primary), message="the standby to catch up")


def behind(primary: Server) -> bool:
    """Whether some standby has not replayed what the primary wrote."""
    query = "select bool_and(replay_lsn >= pg_current_wal_lsn()) from pg_stat_replication"
    return primary.execute(query) != [(True,)]
