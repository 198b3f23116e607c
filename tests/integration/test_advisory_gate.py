"""The pause as a lock: had only when no batch is in flight, not starved, given back at once, asked for again."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from guard import sql
from guard.act.advisory_lock import AdvisoryGate
from guard.demo.proxy import Proxy
from guard.postgres import Door
from tests.fix_postgres import Database, MakeRole
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

X, Y = frozenset({"x"}), frozenset({"y"})
TRY = "select pg_try_advisory_xact_lock_shared(migration_guard.lock_key(%s))"


@pytest.fixture
def guarded(database: Database, make_role: MakeRole) -> Database:
    """A database with the function that gives a migration's key, and a role `watcher` that may do nothing else."""
    make_role("watcher")
    database.execute("create schema migration_guard")
    body = sql.script("functions_client")
    start = body.index("create or replace function migration_guard.lock_key(")
    database.execute(body[start : body.index(";", start)].encode())
    database.execute("grant usage on schema migration_guard to watcher")
    return database


@contextlib.asynccontextmanager
async def gate_on(dsn: str, batch_limit: float = 5.0) -> AsyncIterator[AdvisoryGate]:
    gate = AdvisoryGate(Door(dsn, purpose="gate"), batch_limit)
    try:
        yield gate
    finally:
        await gate.close()


async def until(condition: Callable[[], bool], within: float = 10.0) -> None:
    """As wait_for, for what the loop itself must bring about."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)


def free(database: Database, name: str) -> bool:
    """Whether a batch of *name* could start now."""
    return bool(database.execute(TRY, [name])[0][0])


def waiting(database: Database) -> bool:
    found = database.execute("select pid from pg_locks where locktype = 'advisory' and not granted")
    return bool(found)


def test_batches_cannot_start_while_it_is_held_and_others_can(guarded: Database) -> None:
    async def go() -> None:
        async with gate_on(guarded.dsn("watcher")) as gate:
            gate.want(X)
            await until(lambda: gate.held == X)
            assert not free(guarded, "x")
            assert free(guarded, "y")
            gate.want(Y)
            await until(lambda: gate.held == Y)
            assert free(guarded, "x")
            assert not free(guarded, "y")
            gate.want(frozenset())
            await until(lambda: free(guarded, "y"))
            assert gate.held == frozenset()

    asyncio.run(go())


def test_it_is_held_only_once_the_batch_in_flight_has_ended_and_no_other_overtakes(guarded: Database) -> None:
    async def go() -> None:
        with guarded.connect() as batch:
            batch.execute("select pg_advisory_lock_shared(migration_guard.lock_key('x'))")
            async with gate_on(guarded.dsn("watcher")) as gate:
                gate.want(X)
                await until(lambda: waiting(guarded))
                assert gate.held == frozenset()
                assert not free(guarded, "x")
                batch.execute("select pg_advisory_unlock_all()")
                await until(lambda: gate.held == X)

    asyncio.run(go())


@pytest.fixture
def busy_workers(guarded: Database) -> Iterator[None]:
    """Four workers whose batches overlap, so that the lock is never free by itself."""
    stop = threading.Event()

    def work() -> None:
        with guarded.connect() as connection:
            while not stop.is_set():
                with connection.transaction():
                    row = connection.execute(TRY, ["x"]).fetchone()
                    connection.execute("select pg_sleep(%s)", [0.05 if row == (True,) else 0.01])

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    yield
    stop.set()
    for worker in workers:
        worker.join(10)


def test_busy_workers_do_not_starve_it(guarded: Database, busy_workers: None) -> None:
    async def go() -> None:
        await until(
            lambda: not guarded.execute("select pg_try_advisory_xact_lock(migration_guard.lock_key('x'))")[0][0]
        )
        async with gate_on(guarded.dsn("watcher")) as gate:
            gate.want(X)
            await until(lambda: gate.held == X, within=2.0)

    asyncio.run(go())


def test_its_wait_is_bounded_and_begins_again(guarded: Database) -> None:
    async def go() -> None:
        with guarded.connect() as batch:
            batch.execute("select pg_advisory_lock_shared(migration_guard.lock_key('x'))")
            async with gate_on(guarded.dsn("watcher"), batch_limit=0.1) as gate:
                gate.want(X)
                await until(lambda: "lock timeout" in gate.last_trouble)
                await until(lambda: waiting(guarded))
                batch.execute("select pg_advisory_unlock_all()")
                await until(lambda: gate.held == X)
                assert not gate.last_trouble

    asyncio.run(go())


def test_one_long_batch_does_not_keep_the_others_running(guarded: Database) -> None:
    async def go() -> None:
        with guarded.connect() as batch:
            batch.execute("select pg_advisory_lock_shared(migration_guard.lock_key('x'))")
            async with gate_on(guarded.dsn("watcher"), batch_limit=0.1) as gate:
                gate.want(X | Y)
                await until(lambda: gate.held == Y)

    asyncio.run(go())


def test_a_resume_does_not_wait_for_a_batch_of_another_migration(guarded: Database) -> None:
    async def go() -> None:
        with guarded.connect() as batch:
            batch.execute("select pg_advisory_lock_shared(migration_guard.lock_key('y'))")
            async with gate_on(guarded.dsn("watcher"), batch_limit=60) as gate:
                gate.want(X)
                await until(lambda: gate.held == X)
                gate.want(X | Y)
                await until(lambda: waiting(guarded))
                gate.want(Y)
                await until(lambda: free(guarded, "x"), within=3.0)
                await until(lambda: waiting(guarded))
                gate.want(frozenset())
                await until(lambda: not waiting(guarded), within=3.0)
                assert free(guarded, "y")

    asyncio.run(go())


def test_a_lost_session_is_noticed_and_the_lock_is_had_again(guarded: Database) -> None:
    ends = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'migration_guard/gate'"

    async def go() -> None:
        async with gate_on(guarded.dsn("watcher")) as gate:
            gate.want(X)
            await until(lambda: gate.held == X)
            # Somebody is quicker than the gate that comes back.
            with guarded.connect() as batch:
                guarded.execute(ends)
                wait_for(lambda: batch.execute(TRY.replace("xact_", ""), ["x"]).fetchone() == (True,))
                await until(lambda: gate.held == frozenset())
            await until(lambda: gate.held == X)
            assert not free(guarded, "x")

    asyncio.run(go())


def test_behind_a_frozen_line_nothing_is_held_for_long_and_closing_is_bounded(guarded: Database, proxy: Proxy) -> None:
    async def go() -> None:
        async with gate_on(proxy.dsn(guarded.dsn("watcher"))) as gate:
            gate.want(X)
            await until(lambda: gate.held == X)
            proxy.freeze()
            await until(lambda: gate.held == frozenset(), within=5.0)
            async with asyncio.timeout(5.0):
                await gate.close()

    asyncio.run(go())


def test_closing_gives_back_what_is_held_and_leaves_the_queue(guarded: Database) -> None:
    async def go() -> None:
        with guarded.connect() as batch:
            batch.execute("select pg_advisory_lock_shared(migration_guard.lock_key('y'))")
            async with gate_on(guarded.dsn("watcher"), batch_limit=60) as gate:
                gate.want(X)
                await until(lambda: gate.held == X)
                gate.want(X | Y)
                await until(lambda: waiting(guarded))
                async with asyncio.timeout(4.0):
                    await gate.close()
                assert gate.held == frozenset()
            await until(lambda: free(guarded, "x") and free(guarded, "y"), within=3.0)

    asyncio.run(go())


def test_while_nothing_is_wanted_it_asks_nothing(guarded: Database) -> None:
    door = Door(guarded.dsn("watcher"), purpose="gate")

    async def go() -> None:
        gate = AdvisoryGate(door)
        gate.want(frozenset())
        await gate.close()

    asyncio.run(go())
    assert door.generation == 0
