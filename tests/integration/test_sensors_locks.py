"""What the migration itself waits for, holds and leaves behind: on a real server, where something known is the case."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

import psycopg
import pytest

from guard.act.install import install
from guard.model import Reading, Sample, Silence
from guard.model.sensors import METRICS
from guard.poll.database import DatabaseProbe
from guard.poll.locks import LocksProbe
from guard.poll.samples import Recognition
from guard.postgres import Door
from tests.fix_postgres import Database, MakeCluster, MakeRole, Row
from tests.fix_sessions import Background
from tests.shipped import as_guard
from tests.waiting import wait_for

pytestmark = pytest.mark.integration
ALL = sorted(name for name in METRICS if name.startswith("locks."))
WAITING, HELD = "locks.migration_waiting_for", "locks.access_exclusive_held"
IDLE, INVALID = "locks.migration_idle_in_transaction", "locks.invalid_indexes"
ALONE = (WAITING, HELD, IDLE, INVALID)
Start = Callable[[str, str], Background]
See = Callable[..., Reading]


@pytest.fixture
def shop(database: Database) -> Database:
    install(database.dsn())
    database.execute("create table orders (id int primary key, n int, words text)")
    database.execute("insert into orders values (1, 1), (2, 2)")
    return database


class Eye:
    """One probe that is kept, as the daemon keeps it."""

    def __init__(self, dsn: str, *metrics: str) -> None:
        self._loop = asyncio.new_event_loop()
        door = Door(as_guard(dsn), purpose="locks")
        self._probe = LocksProbe(door, Recognition(application_names=("migration:*",)), metrics=metrics or ALONE)

    def look(self) -> dict[str, Sample]:
        observation = self._loop.run_until_complete(self._probe.poll())
        return {sample.sensor: sample for sample in observation.samples}

    def read(self, metric: str) -> Reading:
        sample = self.look()[metric]
        assert isinstance(sample, Reading), sample
        return sample

    def until(self, metric: str, condition: Callable[[float], bool]) -> Reading:
        """The first reading whose value is so."""
        found: list[Reading] = []

        def so() -> bool:
            found.append(self.read(metric))
            return condition(found[-1].value)

        wait_for(so, within=10, message=lambda: f"{metric}, at last {found[-1]}")
        return found[-1]

    def close(self) -> None:
        self._loop.run_until_complete(self._probe.close())
        self._loop.close()


@pytest.fixture
def eye(shop: Database) -> Iterator[Eye]:
    with contextlib.closing(Eye(shop.dsn())) as eye:
        yield eye


@contextlib.contextmanager
def at_work(shop: Database, *statements: str) -> Iterator[psycopg.Connection[Row]]:
    """A migration's session in a transaction."""
    with shop.connect(application_name="migration:x") as session:
        session.execute("begin")
        for statement in statements:
            session.execute(statement.encode())
        yield session


def test_a_quiet_database_reads_zero_and_only_what_is_asked_for(shop: Database, eye: Eye) -> None:
    found = eye.look()
    assert sorted(found) == sorted(ALONE)
    assert {sample.value for sample in found.values() if isinstance(sample, Reading)} == {0.0}
    with contextlib.closing(Eye(shop.dsn(), INVALID)) as other:
        assert list(other.look()) == [INVALID]
    with contextlib.closing(Eye(shop.dsn(), *ALL)) as other:
        assert sorted(key.partition("|")[0] for key in other.look()) == ALL


def test_the_migrations_own_wait_is_timed_and_the_root_of_its_queue_named(
    shop: Database, eye: Eye, background: Start
) -> None:
    with shop.connect(application_name="web") as holder:
        holder.execute("begin")
        holder.execute("select * from orders")
        alter = background(shop.dsn(application_name="migration:x"), "alter table orders add column extra int")
        alter.wait_blocked(holder)
        found = eye.until(WAITING, lambda value: value > 0.3)
        assert found.caused_by == {alter.pid}
        assert found.detail.startswith(f"pid {alter.pid} (postgres, migration:x) waits for a table behind")
        assert f"pid {holder.info.backend_pid} (postgres, web), idle in transaction for" in found.detail
        assert eye.read(HELD).value == 0  # it waits for ACCESS EXCLUSIVE and has it not
        holder.execute("rollback")
        alter.wait()
        assert eye.read(WAITING).value == 0


@pytest.mark.fault(36)
def test_prepared_transactions_and_an_autovacuum_against_wraparound_that_it_waits_for_are_named(
    make_cluster: MakeCluster, background: Start
) -> None:
    settings = {"max_prepared_transactions": "3", "autovacuum": "on", "autovacuum_naptime": "1s"}
    shop = Database("postgres", make_cluster(0, settings=settings).primary)
    install(shop.dsn())
    with shop.connect() as session:
        session.execute("create table elsewhere (n int)")
        # Nothing but the age of its transaction ids makes a worker come; and then it takes long.
        session.execute(
            "create table orders with (autovacuum_enabled = false, autovacuum_freeze_max_age = 100000,"
            " autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)"
            " as select generate_series(1, 60000) as n"
        )
        for name in (b"elsewhere", b"orders"):
            session.execute("begin")
            session.execute(b"lock table %s in row exclusive mode" % name)
            session.execute(b"prepare transaction 'in %s'" % name)
        session.execute("do $$ begin for i in 1..101000 loop perform txid_current(); commit; end loop; end $$")
    with contextlib.closing(Eye(shop.dsn())) as eye, shop.connect() as other:
        query = """select pid from pg_locks join pg_stat_activity using (pid)
                    where relation = 'orders'::regclass and backend_type = 'autovacuum worker'"""
        ((worker,),) = wait_for(lambda: shop.execute(query), within=20, message="an autovacuum worker")
        alter = background(shop.dsn(application_name="migration:x"), "alter table orders add column extra int")
        alter.wait_blocked(other)
        found = eye.until(WAITING, lambda value: value > 0)
        against = "to prevent wraparound, which must be left to finish"
        assert found.detail.endswith(
            "behind prepared transaction 'in orders' of postgres, without a session to cancel"
            f" and autovacuum, pid {worker}, {against}"
        )
        vacuum = asyncio.run(vacuumed(shop.dsn()))
        assert vacuum.value > 0
        assert vacuum.detail == f"autovacuum of public.orders, pid {worker}, {against}"
        other.execute("rollback prepared 'in orders'")
        other.execute("rollback prepared 'in elsewhere'")


async def vacuumed(dsn: str) -> Reading:
    known = Recognition(application_names=("migration:*",))
    probe = DatabaseProbe(Door(as_guard(dsn), purpose="database"), ["vacuum.on_migration_table"], recognition=known)
    (sample,) = (await probe.poll()).samples
    await probe.close()
    assert isinstance(sample, Reading), sample
    return sample


def test_what_the_migration_has_locked_for_itself_alone_is_timed_by_own_samples(shop: Database, eye: Eye) -> None:
    with at_work(shop, "lock table orders in share mode", "create table fresh (n int)") as session:
        session.execute("create temp table mine (n int)")
        assert eye.read(HELD).value == 0
        session.execute("select pg_sleep(0.3)")
        session.execute("alter table orders add column extra int")
        found = eye.read(HELD)
        assert found.value < 0.3  # the transaction is older than its lock
        assert found.caused_by == {session.info.backend_pid}
        assert found.detail.endswith("s old: public.orders")
        eye.until(HELD, lambda value: value > 0.4)
        with contextlib.closing(Eye(shop.dsn())) as fresh:  # the guard was started anew
            assert fresh.read(HELD).value > 0.3
        session.execute("rollback")
        assert eye.read(HELD).value == 0
    with shop.connect(application_name="web") as web:
        web.execute("begin")
        web.execute("lock table orders")
        assert eye.read(HELD).value == 0


def test_a_migration_that_idles_in_its_transaction_is_told_though_nobody_waits(shop: Database, eye: Eye) -> None:
    with at_work(shop, "select 1") as session:
        found = eye.until(IDLE, lambda value: value > 0.3)
        assert found.caused_by == {session.info.backend_pid}
        assert found.detail == f"pid {session.info.backend_pid} (postgres, migration:x)"
        session.execute("commit")
        assert eye.read(IDLE).value == 0
    with shop.connect(application_name="web") as web:
        web.execute("begin")
        assert eye.read(IDLE).value == 0


def test_an_index_is_left_behind_only_once_nobody_is_at_work_on_it(shop: Database, eye: Eye, background: Start) -> None:
    def blocked(statement: str) -> Background:
        job = background(shop.dsn(application_name="migration:x"), statement)
        job.wait_blocked(other)  # in a transaction a session sees pg_stat_activity as it was once
        return job

    def invalid() -> int:
        ((count,),) = shop.execute("select count(*) - 1 from pg_index where not indisvalid")
        return int(count)

    shop.execute("create table parent (n int) partition by range (n)")
    shop.execute("create table child partition of parent for values from (0) to (9)")
    shop.execute("create index on only parent (n)")
    assert invalid() == 0
    shop.execute("create index second on orders (n)")
    with shop.connect() as old, shop.connect() as other:
        old.execute("begin isolation level repeatable read")
        old.execute("select * from orders")
        for statement, made, left_before in (
            ("create index concurrently late on orders (words)", 1, 0),
            # All are made at first, those of the table of long values too, and then built one by one.
            ("reindex table concurrently orders", 3, 1),
        ):
            job = blocked(statement)
            assert invalid() >= left_before + made
            assert eye.read(INVALID).value == left_before, statement
            job.close()
        left = eye.read(INVALID)
        assert left.value >= 4
        assert "public.late" in left.detail
        assert left.detail.endswith("; DROP INDEX CONCURRENTLY takes each away")
        assert left.value == invalid()
        dropping = blocked("drop index concurrently second")
        assert eye.read(INVALID).value == left.value == invalid() - 1
        old.execute("rollback")
        dropping.wait()
    assert dropping.error is None


@pytest.mark.fault(23)
def test_without_pg_monitor_all_is_silent_and_says_why(shop: Database, make_role: MakeRole) -> None:
    make_role("blind", "in role migration_guard_guard")
    with at_work(shop, "lock table orders"), contextlib.closing(Eye(shop.dsn("blind"))) as eye:
        found = eye.look()
    assert sorted(found) == sorted(ALONE)
    assert all(isinstance(sample, Silence) and "pg_monitor" in sample.why for sample in found.values())


def test_a_server_that_does_not_answer_is_silence() -> None:
    with contextlib.closing(Eye("host=127.0.0.1 port=1 user=nobody dbname=none", *ALL)) as eye:
        found = eye.look()
    assert sorted(key.partition("|")[0] for key in found) == ALL
    assert all(isinstance(sample, Silence) for sample in found.values())
