"""Lock queues, with the real daemon: the migration's work ends, nobody else's, and the root of the queue is named."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import psycopg
import pytest

from tests.acceptance.conftest import Alone
from tests.acceptance.house import LOAD, NOISE, QUEUE, House
from tests.fix_matrix import Took
from tests.fix_postgres import Database, MakeRole
from tests.fix_sessions import Background
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance

WAITED = 0.5
"""How long each reader must have waited by rule QUEUE, in seconds."""
IDLE = """
[[rule]]
name   = "idle"
metric = "locks.idle_in_transaction"
cancel = "> 500ms"
resume = "< 100ms for 300ms"
"""
Start = Callable[[str, str], Background]


@pytest.fixture
def shop(make_role: MakeRole) -> str:
    """The application's role."""
    return make_role("shop")


class Stage:
    """A house and the sessions that hang in it: an application, a migration."""

    def __init__(self, house: House, start: Start) -> None:
        self.house = house
        self._start = start
        house.database.execute("grant select, update on t to shop")
        house.database.execute("alter table t owner to migrator")

    def application(self, statement: str, number: int = 1) -> list[Background]:
        """Sessions of the application that wait for a lock."""
        dsn = self.house.database.dsn("shop", application_name="web")
        started = [self._start(dsn, statement) for _ in range(number)]
        with self.house.database.connect() as eye:
            for session in started:
                session.wait_blocked(eye)
        return started

    def migration(self, name: str, statement: str) -> Background:
        """A registered migration that executes a statement and waits for a lock."""
        session = self._start(self.house.database.dsn("migrator"), f"select migration_guard.register('{name}')")
        return self.again(session, statement)

    def again(self, session: Background, statement: str) -> Background:
        """The same session executes something else and waits for a lock."""
        session.wait()
        session.restart(statement)
        with self.house.database.connect() as eye:
            session.wait_blocked(eye)
        return session

    def told(self, kind: str) -> dict[str, str]:
        """Fields of the last notice of a kind."""
        query = "select payload->'notice'->'fields' from migration_guard.event where kind = %s order by event_id desc"
        return dict(self.house.database.execute(query, [kind])[0][0])


def begin(database: Database, user: str, name: str, *statements: str) -> psycopg.Connection[tuple[object, ...]]:
    """A session idle in a transaction."""
    connection = database.connect(user, application_name=name)
    for statement in ("begin", *statements):
        connection.execute(statement.encode())
    return connection


def assert_released(readers: list[Background], since: float, took: Took) -> None:
    """The application goes on within 1.5 s of the time that each has waited, and no statement of it has failed."""
    for reader in readers:
        reader.wait(5)
        assert reader.error is None
    took(time.time() - since)
    assert time.time() - since < WAITED + 1.5 + NOISE


@pytest.mark.fault(33, 36)
@pytest.mark.parametrize("root", ["shop", "postgres"])
def test_an_application_queued_behind_a_waiting_alter_is_released_and_the_root_is_named_and_left(
    house: House, shop: str, background: Start, took: Took, root: str
) -> None:
    house.rules = QUEUE
    stage = Stage(house, background)
    house.serve()
    with begin(house.database, root, "report", "select count(*) from t") as holder:
        alter = stage.migration("add-column", "alter table t add column c int")
        queued = time.time()
        assert_released(stage.application("select count(*) from t", 2), queued, took)
        alter.wait()
        assert isinstance(alter.error, psycopg.errors.QueryCanceled)
        house.wait_event("cancelled")
        pid = holder.info.backend_pid
        words = stage.told("cancelled")["root blocker"]
        assert words.startswith(f"session {pid} ({root}, report), idle in transaction for")
        assert f"select pg_terminate_backend({pid})" in words
        assert ("superuser" in words) is (root == "postgres")
        assert holder.execute("select 1").fetchone() == (1,)
        house.assert_all_told()
        assert f"pg_terminate_backend({pid})" in str([request.payload for request in house.slack.requests])


@pytest.mark.fault(35)
def test_a_third_queue_that_is_another_migrations_does_not_abort_the_one_that_was_cancelled_twice(
    house: House, shop: str, background: Start
) -> None:
    house.rules = QUEUE
    stage = Stage(house, background)
    house.serve()
    alter = "alter table t add column c int"
    first: Background | None = None
    for count in (1, 2, 3):
        with begin(house.database, "shop", "web", "select count(*) from t"):
            if count == 3:
                session = stage.migration("second", alter)
            else:
                session = first = stage.migration("first", alter) if first is None else stage.again(first, alter)
            for reader in stage.application("select count(*) from t", 2):
                reader.wait(5)
                assert reader.error is None
            house.wait_event("cancelled", count)
        session.wait()
    assert house.events("aborted") == []
    assert house.order("first")["kind"] in {"pause", "proceed"}


@pytest.mark.fault(36)
def test_a_prepared_transaction_at_the_root_is_named_with_what_ends_it_and_stays(
    alone: Alone, background: Start, took: Took
) -> None:
    house, cluster = alone(max_prepared_transactions="5")
    cluster.primary.execute(f"create role shop login password '{cluster.primary.password}'".encode())
    house.rules = QUEUE
    stage = Stage(house, background)
    house.serve()
    begin(house.database, "shop", "web", "select count(*) from t", "prepare transaction 'order-17'").close()
    stage.migration("add-column", "alter table t add column c int")
    queued = time.time()
    assert_released(stage.application("select count(*) from t", 2), queued, took)
    house.wait_event("cancelled")
    assert "prepared transaction 'order-17' of shop" in stage.told("cancelled")["root blocker"]
    assert house.database.execute("select gid from pg_prepared_xacts") == [("order-17",)]


@pytest.mark.fault(34)
def test_a_migration_that_waits_inside_a_transaction_with_locks_is_ended_once_somebody_wants_them(
    house: House, shop: str, background: Start, took: Took
) -> None:
    house.rules = LOAD + IDLE
    stage = Stage(house, background)
    house.serve()
    session = house.database.connect("migrator", application_name="migration:rude")
    session.execute("select migration_guard.register('rude')")
    house.wait_event("started")
    for statement in ("begin", "update t set v = 1 where id = 5"):
        session.execute(statement.encode())
    house.load(9)
    house.wait_event("paused")
    paused = time.time()
    wait_for(lambda: time.time() > paused + 1)
    assert house.events("cancelled") == []  # it does nothing, and nobody minds
    wanted = time.time()
    assert_released(stage.application("update t set v = 2 where id = 5"), wanted, took)
    house.wait_event("cancelled")
    assert "terminated" in stage.told("cancelled")["sessions"]
    with pytest.raises(psycopg.OperationalError, match="administrator command"):
        session.execute("commit")
    session.close()
    assert house.database.execute("select v from t where id = 5") == [(2,)]
    house.assert_all_told()


@pytest.mark.fault(37)
def test_an_index_built_concurrently_is_let_finish_and_where_told_otherwise_cancelled_with_what_mends_it(
    house: House, shop: str, background: Start, took: Took
) -> None:
    house.rules = QUEUE
    stage = Stage(house, background)
    house.database.execute("grant all on t to shop; grant create on schema public to migrator")
    daemon = house.serve()
    with begin(house.database, "postgres", "report", "set transaction isolation level repeatable read", "select 1"):
        building = stage.migration("add-index", "create index concurrently added on t (v)")
        waiting = stage.application("begin; lock table t in share mode; commit", 2)
        assert "queued" in house.wait_event("let_finish")[2]
        told = time.time()
        wait_for(lambda: time.time() > told + 2.5)
        assert building.running
        assert len(house.events("let_finish")) == 1
        assert house.events("cancelled") == []
        house.roles += "\nlet_finish = false"
        house.write()
        reloaded = time.time()
        daemon.send(signal.SIGHUP)
        building.wait()
        took(time.time() - reloaded)
        assert isinstance(building.error, psycopg.errors.QueryCanceled)
        for session in waiting:
            session.wait()
            assert session.error is None
        house.wait_event("cancelled")
        mended_by = "invalid index public.added: DROP INDEX CONCURRENTLY public.added;"
        assert stage.told("cancelled")["left behind"] == mended_by
    house.assert_all_told()
    assert "CREATE INDEX CONCURRENTLY" in str([request.payload for request in house.slack.requests])
    assert len(house.events("cancelled")) == 1


@pytest.mark.fault(38)
def test_who_waits_for_a_pauses_own_lock_is_no_lock_queue(house: House, shop: str, background: Start) -> None:
    house.rules = LOAD + QUEUE + IDLE.replace("idle_in_transaction", "longest_wait").replace('"idle"', '"longest"')
    stage = Stage(house, background)
    house.database.execute("grant migration_guard_client to shop")
    house.serve()
    migrating = house.wait_migrating()
    wait = "select pg_advisory_lock_shared(migration_guard.lock_key('{}'))".format
    with house.database.connect("migrator", application_name="migration:batch") as batch:
        batch.execute("select pg_advisory_lock(migration_guard.lock_key('other'))")
        waiting = stage.application(wait("other"), 2)
        migrating.wait_starts(40)  # a second and more, and nobody minds
        assert house.events("paused") == []
    house.load(9)
    house.wait_event("paused")
    held = """select pid from pg_locks join pg_stat_activity using (pid)
               where locktype = 'advisory' and granted and application_name = 'migration_guard/gate'
                 and datname = current_database()"""
    wait_for(lambda: house.database.execute(held.encode()), message="the gate to hold the lock")
    waiting += [background(house.database.dsn("migrator", application_name="migration:old"), wait("backfill"))]
    paused = stage.application(wait("backfill"), 2)
    queued = time.time()
    wait_for(lambda: time.time() > queued + 1.5)
    assert [str(session.error) for session in paused if not session.running] == []
    waiting += paused
    house.load(0)
    house.wait_event("resumed")
    for session in waiting:
        session.wait()
        assert session.error is None
    assert [event for event in house.events() if "locks." in event[2] and "all is well" not in event[2]] == []
    migrating.wait_starts()
    house.assert_kept_to_orders(migrating)
