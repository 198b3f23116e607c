"""Real lock queues: who waits behind a migration, told apart from all others who wait."""

import asyncio
import time
from collections.abc import Callable

import psycopg
import pytest

from guard.act.install import install
from guard.model import Reading, Sample, Silence
from guard.poll.locks import LocksProbe
from guard.poll.samples import Recognition
from guard.postgres import Door
from tests.fix_postgres import Database, MakeRole, Row
from tests.fix_sessions import Background
from tests.shipped import as_guard

pytestmark = pytest.mark.integration

Start = Callable[[str, str], Background]
Samples = dict[str, Sample]

WAITED = 0.4
QUEUED = "locks.queued_behind_migration|waited=0.4s"
ROWS = "locks.row_waits_behind_migration|waited=0.4s"
LONGEST, IDLE = "locks.longest_wait", "locks.idle_in_transaction"
BY_NAME = Recognition(application_names=("migration:*",))


@pytest.fixture
def shop(database: Database) -> Database:
    """A database with the contract and a table."""
    install(database.dsn())
    database.execute("create table orders (id int primary key, n int)")
    database.execute("insert into orders values (1, 1), (2, 2)")
    return database


def probe_of(dsn: str, recognition: Recognition = BY_NAME, waited: tuple[float, ...] = (WAITED,)) -> LocksProbe:
    return LocksProbe(Door(as_guard(dsn), purpose="locks"), recognition, waited)


def migration(shop: Database) -> str:
    return shop.dsn(application_name="migration:add-column")


async def look(probe: LocksProbe) -> Samples:
    return {sample.sensor: sample for sample in (await probe.poll()).samples}


def values(samples: Samples) -> dict[str, float]:
    assert all(isinstance(sample, Reading) for sample in samples.values()), samples
    return {sensor: sample.value for sensor, sample in samples.items() if isinstance(sample, Reading)}


async def until(probe: LocksProbe, condition: Callable[[dict[str, float]], bool], within: float = 10.0) -> Samples:
    end = time.monotonic() + within
    while True:
        samples = await look(probe)
        if condition(values(samples)):
            return samples
        assert time.monotonic() < end, f"not within {within} s, at last {samples}"
        await asyncio.sleep(0.05)


def see(shop: Database, condition: Callable[[dict[str, float]], bool], recognition: Recognition = BY_NAME) -> Samples:
    async def main() -> Samples:
        probe = probe_of(shop.dsn(), recognition)
        try:
            return await until(probe, condition)
        finally:
            await probe.close()

    return asyncio.run(main())


def begin(shop: Database, statement: str, **more: str) -> psycopg.Connection[Row]:
    """A session idle in a transaction after a statement."""
    connection = shop.connect(**more)
    connection.execute("begin")
    connection.execute(statement.encode())
    return connection


def detail(sample: Sample) -> str:
    assert isinstance(sample, Reading)
    return sample.detail


def test_nobody_waits(shop: Database) -> None:
    samples = see(shop, lambda _: True)
    assert values(samples) == {QUEUED: 0.0, ROWS: 0.0, LONGEST: 0.0, IDLE: 0.0}


@pytest.mark.fault(33)
def test_a_queue_behind_a_waiting_alter_is_counted_and_its_root_and_middle_named(
    shop: Database, background: Start
) -> None:
    with begin(shop, "select * from orders", application_name="web") as holder, shop.connect() as eye:
        alter = background(migration(shop), "alter table orders add column extra int")
        alter.wait_blocked(eye)
        readers = [background(shop.dsn(application_name="web"), "select 'secret' from orders") for _ in range(3)]
        for reader in readers:
            reader.wait_blocked(eye)
        samples = see(shop, lambda found: found[QUEUED] == 3)
        for counted in (samples[QUEUED], samples[LONGEST]):
            assert isinstance(counted, Reading)
            assert counted.caused_by == {alter.pid}
        text = detail(samples[QUEUED])
        assert f"behind the migration, pid {alter.pid} (postgres, migration:add-column)" in text
        assert f"which waits for pid {holder.info.backend_pid} (postgres, web), idle in transaction for" in text
        assert all(str(reader.pid) in text for reader in readers)
        assert "secret" not in text
        assert values(samples)[LONGEST] >= WAITED
        assert values(samples)[ROWS] == values(samples)[IDLE] == 0
        shop.execute("select pg_cancel_backend(%s)", [alter.pid])
        for reader in readers:
            reader.wait()
        assert values(see(shop, lambda found: found[QUEUED] == 0)) == {QUEUED: 0, ROWS: 0, LONGEST: 0, IDLE: 0}
        holder.execute("rollback")


def test_sessions_count_only_once_they_have_waited_long_enough(shop: Database, background: Start) -> None:
    with begin(shop, "lock table orders", application_name="migration:x") as holder, shop.connect() as eye:
        reader = background(shop.dsn(), "select * from orders")
        reader.wait_blocked(eye)

        async def main() -> None:
            probe = probe_of(shop.dsn(), waited=(0.1, 30.0))
            found = await until(probe, lambda seen: seen["locks.queued_behind_migration|waited=0.1s"] == 1)
            assert values(found)["locks.queued_behind_migration|waited=30s"] == 0
            await probe.close()

        asyncio.run(main())
        holder.execute("rollback")


def test_a_migration_idle_in_its_transaction_is_told_while_somebody_waits_for_it(
    shop: Database, background: Start
) -> None:
    with begin(shop, "update orders set n = 0 where id = 1", application_name="migration:x") as holder:
        see(shop, lambda found: found[IDLE] == 0)
        with shop.connect() as eye:
            writer = background(shop.dsn(), "update orders set n = 5 where id = 1")
            writer.wait_blocked(eye)
        samples = see(shop, lambda found: found[IDLE] > 0.3)
        assert f"pid {holder.info.backend_pid}" in detail(samples[IDLE])
        holder.execute("rollback")
        see(shop, lambda found: found[IDLE] == 0)


def test_waits_for_rows_are_told_apart(shop: Database, background: Start) -> None:
    with begin(shop, "update orders set n = 0", application_name="migration:x") as holder, shop.connect() as eye:
        for _ in range(2):
            background(shop.dsn(), "update orders set n = 5 where id = 1").wait_blocked(eye)
        samples = see(shop, lambda found: found[ROWS] == 2)
        assert values(samples)[QUEUED] == values(samples)[LONGEST] == 0
        holder.execute("rollback")


def test_waits_among_the_application_itself_are_none_of_the_migrations(shop: Database, background: Start) -> None:
    shop.execute("create table other (n int)")
    with (
        begin(shop, "lock table orders", application_name="web") as holder,
        begin(shop, "lock table other", application_name="migration:x") as migrating,
        shop.connect() as eye,
    ):
        background(shop.dsn(), "select * from orders").wait_blocked(eye)
        time_over = time.monotonic() + 2 * WAITED
        found = values(see(shop, lambda _: time.monotonic() > time_over))
        assert set(found.values()) == {0.0}
        background(shop.dsn(), "select * from other").wait_blocked(eye)
        see(shop, lambda seen: seen[QUEUED] == 1)
        holder.execute("rollback")
        migrating.execute("rollback")


@pytest.mark.fault(38)
def test_a_migration_that_waits_for_the_pause_lock_does_not_look_like_a_queue(
    shop: Database, background: Start
) -> None:
    lock = "select pg_advisory_lock(migration_guard.lock_key('x'))"
    with shop.connect(application_name="migration_guard/gate") as gate, shop.connect() as eye:
        gate.execute(lock)
        for _ in range(3):
            background(migration(shop), lock.replace("lock(", "lock_shared(", 1)).wait_blocked(eye)
        end = time.monotonic() + 3 * WAITED

        async def main() -> None:
            probe = probe_of(shop.dsn())
            while time.monotonic() < end:
                assert set(values(await look(probe)).values()) == {0.0}
                await asyncio.sleep(0.05)
            await probe.close()

        asyncio.run(main())


def test_the_guards_own_wait_does_not_count(shop: Database, background: Start) -> None:
    with begin(shop, "lock table orders", application_name="migration:x") as holder, shop.connect() as eye:
        background(shop.dsn(application_name="migration_guard/t"), "select * from orders").wait_blocked(eye)
        background(shop.dsn(), "select * from orders").wait_blocked(eye)
        assert values(see(shop, lambda found: found[QUEUED] >= 1))[QUEUED] == 1
        holder.execute("rollback")


def test_a_registered_session_is_a_migration_whatever_its_name(shop: Database, background: Start) -> None:
    nobody = Recognition()
    with shop.connect(application_name="psql") as holder, shop.connect() as eye:
        holder.execute("select migration_guard.register('by hand')")
        holder.execute("begin")
        holder.execute("lock table orders")
        background(shop.dsn(), "select * from orders").wait_blocked(eye)
        see(shop, lambda found: found[QUEUED] == 1, nobody)
        shop.execute("update migration_guard.run set backend_start = backend_start - interval '1 s'")
        see(shop, lambda found: found[QUEUED] == 0 and found[LONGEST] == 0, nobody)
        shop.execute("update migration_guard.run set backend_start = backend_start + interval '1 s', pooled = true")
        see(shop, lambda found: found[QUEUED] == 0 and found[LONGEST] == 0, nobody)
        holder.execute("rollback")


@pytest.mark.parametrize(
    ("recognition", "known"),
    [
        (Recognition(roles=("postgres",)), True),
        (Recognition(roles=("postgres",), application_names=("other*",)), False),
        (Recognition(roles=("other",), application_names=("migration:*",)), False),
        (Recognition(roles=("postgres",), application_names=("other", "migration:*")), True),
        (Recognition(), False),
    ],
)
def test_role_and_name_must_both_match_where_both_are_given(
    shop: Database, background: Start, recognition: Recognition, known: bool
) -> None:
    with begin(shop, "lock table orders", application_name="migration:x") as holder, shop.connect() as eye:
        other = shop.dsn(application_name="migration_guard/other")
        background(other, "select * from orders").wait_blocked(eye)  # never counts, but makes the probe look
        with shop.connect(application_name="migration:q") as unused:
            unused.execute("select 1")
            background(shop.dsn(application_name="web"), "select * from orders").wait_blocked(eye)
            # With the role alone the reader is a migration's session too, and no longer an application's.
            wanted = 1.0 if known and recognition.application_names else 0.0
            time_over = time.monotonic() + 2 * WAITED
            found = see(shop, lambda seen: time.monotonic() > time_over and seen[QUEUED] == wanted, recognition)
            assert values(found)[QUEUED] == wanted
        holder.execute("rollback")


@pytest.mark.fault(23)
def test_without_pg_monitor_nothing_is_known_rather_than_nobody_waits(
    shop: Database, background: Start, make_role: MakeRole
) -> None:
    make_role("locks_guard", "in role migration_guard_guard")
    shop.execute("grant pg_monitor to locks_guard")

    async def main() -> None:
        probe = probe_of(shop.dsn("locks_guard"))
        await until(probe, lambda found: found[QUEUED] == 1)
        shop.execute("revoke pg_monitor from locks_guard")
        samples = await look(probe)
        assert set(samples) == {QUEUED, ROWS, LONGEST, IDLE}
        for sample in samples.values():
            assert isinstance(sample, Silence)
            assert "lacks pg_monitor" in sample.why
        await probe.close()

    with begin(shop, "lock table orders", application_name="migration:x") as holder, shop.connect() as eye:
        background(shop.dsn(), "select * from orders").wait_blocked(eye)
        asyncio.run(main())
        holder.execute("rollback")


def test_an_absent_schema_is_silence_with_its_name(database: Database, background: Start) -> None:
    with begin(database, "create table t (n int)") as holder, database.connect() as eye:
        key = "select pg_advisory_xact_lock(7)"
        holder.execute(key.encode())
        background(database.dsn(), key).wait_blocked(eye)

        async def main() -> None:
            probe = probe_of(database.dsn())
            for sample in (await look(probe)).values():
                assert isinstance(sample, Silence)
                assert "migration_guard.run" in sample.why
            await probe.close()

        asyncio.run(main())
        holder.execute("rollback")
