"""Long transactions, what holds back vacuum, connections: on a real server, where something known is the case."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import psycopg
import pytest

from guard.model import Reading, Sample, Silence
from guard.model.metric import Labels
from guard.model.sensors import METRICS
from guard.poll.activity import ActivityProbe
from guard.postgres import Door
from tests.fix_postgres import Database, MakeCluster, MakeRole
from tests.fix_sessions import Background
from tests.shipped import as_guard

pytestmark = pytest.mark.integration
ALL = sorted(name for name in METRICS if name.startswith("activity."))


def look(dsn: str, *metrics: str, selected: Sequence[tuple[str, Labels]] = ()) -> dict[str, Sample]:
    async def main() -> tuple[Sample, ...]:
        probe = ActivityProbe(Door(as_guard(dsn), purpose="activity"), metrics, selected=selected)
        try:
            return (await probe.poll()).samples
        finally:
            await probe.close()

    return {sample.sensor: sample for sample in asyncio.run(main())}


def reading(dsn: str, metric: str) -> Reading:
    (sample,) = look(dsn, metric).values()
    assert isinstance(sample, Reading), sample
    assert sample.sensor == metric
    return sample


def burn(database: Database, transactions: int = 12) -> None:
    """Use up some transaction ids."""
    for _ in range(transactions):
        database.execute("select pg_current_xact_id()")


def test_all_of_the_family_have_a_value_at_once_and_nothing_else_is_said(database: Database) -> None:
    found = look(database.dsn(), *ALL)
    assert sorted(found) == ALL
    assert all(isinstance(sample, Reading) for sample in found.values())
    assert list(look(database.dsn(), "activity.active")) == ["activity.active"]


def test_the_longest_transaction_is_named_with_its_age_and_a_quiet_database_reads_zero(database: Database) -> None:
    assert reading(database.dsn(), "activity.longest_transaction").value == 0
    with database.connect(application_name="report") as old, database.connect() as young:
        old.execute("begin")
        old.execute("select pg_sleep(0.3)")
        young.execute("begin")
        found = reading(database.dsn(), "activity.longest_transaction")
        assert 0.3 <= found.value < 10
        assert found.detail == f"pid {old.info.backend_pid} (postgres, report), idle in transaction"


def test_the_oldest_xmin_is_that_of_a_session_with_a_snapshot(database: Database) -> None:
    with database.connect(application_name="report") as old:
        old.execute("begin isolation level repeatable read")
        old.execute("select 1")
        burn(database)
        found = reading(database.dsn(), "activity.oldest_xmin_age")
        assert found.value >= 12
        assert found.detail.startswith(f"pid {old.info.backend_pid} (postgres, report)")


def test_a_prepared_transaction_and_a_slot_hold_xmin_back_as_well(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(0, settings={"max_prepared_transactions": "2", "wal_level": "logical"})
    database = Database("postgres", cluster.primary)
    with database.connect() as session:
        session.execute("begin")
        session.execute("create table t()")
        session.execute("prepare transaction 'left behind'")
    burn(database)
    found = reading(database.dsn(), "activity.oldest_xmin_age")
    assert found.value >= 12
    assert found.detail == 'prepared transaction "left behind" of postgres'
    database.execute("rollback prepared 'left behind'")
    assert reading(database.dsn(), "activity.oldest_xmin_age").value < 12
    database.execute("select pg_create_logical_replication_slot('forgotten', 'test_decoding')")
    burn(database)
    found = reading(database.dsn(), "activity.oldest_xmin_age")
    assert found.value >= 12
    assert found.detail == "replication slot forgotten"


def test_connections_are_counted_against_those_that_are_open_to_all(make_cluster: MakeCluster) -> None:
    settings = {"max_connections": "20", "superuser_reserved_connections": "4"}
    server = make_cluster(0, settings=settings).primary
    database = Database("postgres", server)
    with database.connect() as one, database.connect() as two:
        found = look(database.dsn(), "activity.connections", "activity.connections_used")
        ((expected,),) = one.execute("select count(*) from pg_stat_activity where backend_type = 'client backend'")
        count, used = found["activity.connections"], found["activity.connections_used"]
        assert isinstance(count, Reading)
        assert isinstance(used, Reading)
        # The guard's own was there, and its end may not have been seen yet.
        assert count.value in {expected, expected + 1}
        assert count.value >= 3
        assert used.value == count.value / 16
        assert used.detail == f"{count.value:g} of 16 that are open to all"
        assert not two.closed


def test_active_sessions_are_those_that_run_something(database: Database) -> None:
    assert reading(database.dsn(), "activity.active").value == 0
    with database.connect() as busy, database.connect() as idle:
        busy.execute("set statement_timeout = '30s'")
        idle.execute("select 1")
        busy.pgconn.send_query(b"select pg_sleep(20)")
        try:
            assert reading(database.dsn(), "activity.active").value == 1
        finally:
            busy.cancel()
            with contextlib.suppress(psycopg.Error):
                busy.close()


def test_sessions_that_wait_are_told_by_what_they_wait_for(
    database: Database, background: Callable[[str, str], Background]
) -> None:
    types = {kind: f"activity.waiting{{wait_event_type={kind}}}" for kind in ("Lock", "Timeout", "IO")}
    selected = [("activity.waiting", (("wait_event_type", kind),)) for kind in types]
    with database.connect(application_name="web") as holder:
        background(database.dsn(), "select pg_sleep(20)")
        holder.execute("select pg_advisory_lock(7)")
        for _ in range(2):
            background(database.dsn(), "select pg_advisory_lock(7)").wait_blocked(holder)
        found = look(database.dsn(), "activity.waiting", selected=selected)
        assert {kind: getattr(found[key], "value", None) for kind, key in types.items()} == {
            "Lock": 2,
            "Timeout": 1,
            "IO": 0,
        }
        every = found["activity.waiting"]
        assert isinstance(every, Reading)
        assert (every.value, every.detail) == (3, "Lock 2, Timeout 1")
    assert look(database.dsn(), selected=selected[:1]).keys() == {types["Lock"]}


@pytest.mark.fault(23)
def test_without_pg_monitor_everything_is_silent_and_says_why(database: Database, make_role: MakeRole) -> None:
    make_role("blind")
    with database.connect() as other:
        other.execute("begin")
        found = look(database.dsn("blind"), *ALL)
    assert len(found) == len(ALL)
    assert all(isinstance(sample, Silence) and "pg_monitor" in sample.why for sample in found.values())


def test_a_server_that_does_not_answer_is_silence() -> None:
    found = look("host=127.0.0.1 port=1 user=nobody dbname=none", *ALL)
    assert all(isinstance(sample, Silence) for sample in found.values())
