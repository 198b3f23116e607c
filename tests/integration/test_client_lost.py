"""A migration whose guard is lost, frozen or far away: it holds, says so, and goes on only where that was chosen."""

import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psycopg
import pytest

from guard.client import Aborted, AlreadyRunning, GuardLost, Migration, Paused, wait_for_proceed
from tests.beating import Beating, Connection, in_thread, longer, only_run, paced, wait_until
from tests.fix_postgres import Database
from tests.shipped import as_client
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


@pytest.fixture
def guard(database: Database) -> Iterator[Beating]:
    guard = Beating(database)
    yield guard
    guard.stop()


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    dsn = as_client(database.dsn(application_name="migration:m"))
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


@pytest.mark.fault(61)
def test_a_lost_guard_is_waited_for_and_the_run_goes_on_with_it(guard: Beating, connection: Connection) -> None:
    words: list[str] = []
    starts: list[float] = []
    guard.lease = 1.5
    with Migration(connection, "m", poll=0.02, on_wait=words.append) as migration:

        def work() -> None:
            for _ in migration.pace(range(300)):
                starts.append(time.time())
                time.sleep(0.005)

        with in_thread(work):
            wait_for(lambda: len(starts) > 10)
            guard.silent.set()
            wait_for(lambda: any("silent for" in word for word in words))
            # Server and test share a clock. A thread may be held up between the answer and what it notes.
            query = "select extract(epoch from lease_until)::float8 from migration_guard.lease"
            [(lease_until,)] = guard.contract.database.execute(query)
            began = len(starts)
            assert starts[-1] <= lease_until + 0.5
            wait_until(time.monotonic() + 0.5)
            assert len(starts) == began
            guard.silent.clear()
    assert len(starts) == 300
    assert sum("silent for" in word for word in words) == 1


@pytest.mark.fault(61)
def test_it_gives_up_on_a_lost_guard_in_the_end(guard: Beating, connection: Connection) -> None:
    guard.silent.set()
    began = time.monotonic()
    with pytest.raises(GuardLost):
        paced(connection, give_up_after=0.5)
    assert time.monotonic() - began > 0.5
    assert only_run(guard.contract.database, "outcome batches_done") == ("failed", 0)


def test_it_fails_at_once_where_the_run_chose_so(guard: Beating, connection: Connection) -> None:
    guard.die()
    with pytest.raises(GuardLost, match="no lease"):
        paced(connection, on_guard_lost="fail")


def test_it_goes_on_without_a_guard_where_the_run_chose_so_and_says_it_once(
    guard: Beating, connection: Connection
) -> None:
    guard.die()
    words: list[str] = []
    assert paced(connection, 5, on_guard_lost="proceed", fresh_for=0, on_wait=words.append) == list(range(5))
    assert len(words) == 1
    assert "goes on without a guard" in words[0]


@pytest.mark.parametrize("policy", ["fail", "proceed"])
def test_a_dormant_guard_is_given_time_to_wake(guard: Beating, connection: Connection, policy: str) -> None:
    guard.silent.set()
    guard.mode = "dormant"
    guard.say()
    words: list[str] = []
    with in_thread(lambda: paced(connection, on_guard_lost=policy, on_wait=words.append)):
        wait_for(lambda: any("dormant" in word for word in words))
        guard.mode = "live"
        guard.silent.clear()
    assert all("waits" in word for word in words)
    assert only_run(guard.contract.database, "outcome batches_done") == ("done", 3)


def test_a_beat_that_never_moves_is_no_permission(guard: Beating, connection: Connection) -> None:
    guard.silent.set()
    guard.lease = 0.7
    words: list[str] = []
    with Migration(connection, "m", poll=0.02, give_up_after=0.1, on_wait=words.append) as migration:
        guard.say()
        assert guard.contract.kind(migration.run_id) == "proceed"
        with pytest.raises(GuardLost, match="has been silent"):
            migration.checkpoint()
    assert any("see the guard beat once" in word for word in words)


@pytest.mark.fault(62)
def test_a_lease_that_was_prolonged_without_a_beat_is_not_believed(guard: Beating, connection: Connection) -> None:
    with Migration(connection, "m", poll=0.02, fresh_for=0, give_up_after=0.2) as migration:
        migration.checkpoint()
        guard.silent.set()
        guard.say()
        migration.checkpoint()
        # As a clock of the server that was set back would do.
        guard.contract.database.execute("update migration_guard.lease set lease_until = now() + interval '1 hour'")
        wait_until(time.monotonic() + guard.lease)
        assert guard.contract.kind(migration.run_id) == "proceed"
        with pytest.raises(GuardLost, match="stood still by this machine's clock"):
            migration.checkpoint()


def test_a_schema_that_vanishes_is_a_lost_guard(guard: Beating, connection: Connection) -> None:
    guard.silent.set()

    def work() -> None:
        with Migration(connection, "m", poll=0.02, give_up_after=0.1) as migration:
            guard.contract.database.execute("drop schema migration_guard cascade")
            migration.checkpoint()

    with pytest.raises(GuardLost, match="gone from this database"):
        work()


def test_an_operator_overrides_a_dead_guard(guard: Beating, connection: Connection) -> None:
    guard.die()
    guard.contract.operator("override")
    assert paced(connection, give_up_after=0.1) == [0, 1, 2]


@pytest.mark.fault(61)
def test_a_broken_connection_is_the_callers_own_error(guard: Beating, connection: Connection) -> None:
    def work() -> None:
        with Migration(connection, "m", poll=0.02) as migration:
            guard.contract.database.execute("select pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])
            migration.checkpoint()

    with pytest.raises(psycopg.OperationalError):
        work()


# -- processes ---------------------------------------------------------------------------------------------------------


PROGRAM = """
import sys, time, psycopg
from guard.client import Migration
with psycopg.connect(sys.argv[1], autocommit=True) as connection, Migration(connection, "m", poll=0.02) as migration:
    for n in migration.pace(range(100000)):
        print(time.clock_gettime(time.CLOCK_MONOTONIC), flush=True)
        connection.execute("select pg_sleep(0.005)")
"""


@pytest.fixture
def process(database: Database) -> Iterator[subprocess.Popen[str]]:
    """A migration as a process of its own, which prints when each batch begins."""
    command = [sys.executable, "-c", PROGRAM, as_client(database.dsn())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.mark.fault(60)
def test_a_process_that_was_frozen_over_a_pause_begins_at_most_the_batch_that_it_had_checked(
    guard: Beating, process: subprocess.Popen[str]
) -> None:
    starts: list[float] = []

    def read() -> None:
        starts.extend(float(line) for line in process.stdout or ())

    counts = []
    with in_thread(read):
        for _ in range(5):
            wait_for(functools.partial(longer, starts, len(starts) + 10))
            os.kill(process.pid, signal.SIGSTOP)
            guard.say("pause")
            wait_until(time.monotonic() + 0.3)
            thawed = time.monotonic()
            os.kill(process.pid, signal.SIGCONT)
            wait_until(thawed + 0.5)
            counts.append(sum(at > thawed for at in tuple(starts)))
            guard.say("proceed")
        process.kill()
    assert max(counts) <= 1


def test_a_migration_that_was_killed_leaves_its_name_free(
    guard: Beating, process: subprocess.Popen[str], connection: Connection
) -> None:
    assert process.stdout is not None
    process.stdout.readline()
    with pytest.raises(AlreadyRunning):
        paced(connection)
    process.kill()
    assert wait_for(lambda: paced(connection), ignoring=(AlreadyRunning,)) == [0, 1, 2]


# -- waiting for somebody else -----------------------------------------------------------------------------------------


def test_wait_for_proceed_returns_when_a_run_may_go_on(
    guard: Beating, connection: Connection, database: Database
) -> None:
    guard.say("pause")
    with Migration(connection, "m"), database.connect() as other:
        words: list[str] = []
        with in_thread(lambda: wait_for_proceed(other, "m", 10, poll=0.02, on_wait=words.append)):
            wait_for(lambda: words != [])
            guard.say("proceed")
        assert database.execute("select count(*) from migration_guard.run") == [(1,)]
        assert only_run(database, "acknowledged_epoch") == (0,)  # nobody acknowledges for it


def test_wait_for_proceed_announces_a_run_where_there_is_none_and_ends_it(
    guard: Beating, connection: Connection
) -> None:
    wait_for_proceed(connection, "m", 10, poll=0.02)
    assert only_run(guard.contract.database, "outcome exclusive") == ("done", False)


def test_wait_for_proceed_ends_in_time_and_says_of_what(guard: Beating, connection: Connection) -> None:
    guard.say("pause")
    with pytest.raises(Paused, match="still waits: pause for a test"):
        wait_for_proceed(connection, "m", 0.3, poll=0.02)
    guard.silent.set()
    guard.contract.database.execute("delete from migration_guard.lease")
    with pytest.raises(GuardLost, match="no lease"):
        wait_for_proceed(connection, "m", 0.1, poll=0.02)
    guard.contract.operator("abort")
    with pytest.raises(Aborted):
        wait_for_proceed(connection, "m", 0.1, poll=0.02)
