"""The client that a migration imports: begins no batch that it must not begin, and leaves the connection as it was."""

import functools
import threading
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg.rows import dict_row

from guard.client import Aborted, AlreadyRunning, Migration, Paused
from guard.errors import NotInstalled, NotPermitted
from tests.beating import Beating, Connection, in_thread, longer, only_run, paced, wait_until
from tests.fix_postgres import Database, MakeRole
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


def test_a_guarded_loop_yields_every_batch_and_its_record_says_so(guard: Beating, connection: Connection) -> None:
    done = []
    with Migration(connection, "m", poll=0.02) as migration:
        for batch in migration.pace(range(50)):
            done.append(batch)
            migration.progress(rows=10, note="half way")
    assert done == list(range(50))
    row = only_run(guard.contract.database, "outcome rows_done batches_done note acknowledged_epoch usename pooled")
    assert row == ("done", 500, 50, "half way", 1, "shipped_client", False)


def test_no_batch_begins_later_than_fresh_for_after_a_pause_is_written(guard: Beating, connection: Connection) -> None:
    starts: list[float] = []

    def work() -> None:
        with Migration(connection, "m", poll=0.02) as migration:
            for _ in migration.pace(range(300)):
                starts.append(time.monotonic())
                connection.execute("select pg_sleep(0.005)")

    forbidden: list[float] = []
    with in_thread(work):
        for wanted in (10, 60, 110):
            wait_for(functools.partial(longer, starts, wanted))
            guard.say("pause")
            written = time.monotonic()
            wait_until(written + 0.7)
            forbidden += [at for at in tuple(starts) if written + 0.2 < at]
            guard.say("proceed")
    assert forbidden == []
    assert len(starts) == 300


def test_it_waits_with_no_transaction_open_and_says_why_once(guard: Beating, connection: Connection) -> None:
    guard.say("pause")
    words: list[str] = []
    with Migration(connection, "m", poll=0.02, on_wait=words.append) as migration:
        with in_thread(migration.checkpoint):
            wait_for(lambda: any("pause for a test" in word for word in words))
            look = "select state, backend_xmin, backend_xid from pg_stat_activity where pid = %s and state = 'idle'"
            for _ in range(5):
                pid = connection.info.backend_pid
                assert wait_for(functools.partial(guard.contract.database.execute, look, [pid])) == [
                    ("idle", None, None)
                ]
            guard.say("proceed")
        assert sum("pause for a test" in word for word in words) == 1


def test_who_waits_has_said_how_much_is_done_so_that_nothing_looks_done_during_the_pause(
    guard: Beating, connection: Connection
) -> None:
    done: list[float] = []
    words: list[str] = []

    def work() -> None:
        with Migration(connection, "m", poll=0.02, on_wait=words.append) as migration:
            for batch in migration.pace(range(300)):
                connection.execute("select pg_sleep(0.005)")
                migration.progress(rows=10)
                done.append(batch)

    with in_thread(work):
        wait_for(functools.partial(longer, done, 20))
        guard.say("pause")
        try:
            wait_for(lambda: any("pause for a test" in word for word in words))
            known = "rows_done batches_done"
            wait_for(lambda: only_run(guard.contract.database, known) == (10 * len(done), len(done)))
        finally:
            guard.say("proceed")


def test_a_wait_is_one_line_of_the_log_by_default(
    guard: Beating, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    guard.say("pause")
    with Migration(connection, "m", poll=0.02) as migration, in_thread(migration.checkpoint):
        wait_for(lambda: "migration m waits: pause for a test" in caplog.text)
        guard.say("proceed")


def test_it_asks_before_the_next_batch_is_fetched(guard: Beating, connection: Connection) -> None:
    fetched: list[int] = []

    def batches() -> Iterator[int]:
        for n in range(3):
            fetched.append(n)
            yield n

    with Migration(connection, "m", poll=0.02, fresh_for=0) as migration:
        batch = migration.pace(batches())
        next(batch)
        guard.say("abort")
        with pytest.raises(Aborted):
            next(batch)
    assert fetched == [0]


def test_a_fetch_that_takes_long_is_asked_about_again(guard: Beating, connection: Connection) -> None:
    begun: list[int] = []

    def batches() -> Iterator[int]:
        yield 1
        guard.say("abort")
        wait_until(time.monotonic() + 0.25)
        yield 2

    def work() -> None:
        with Migration(connection, "m", poll=0.02) as migration:
            begun.extend(migration.pace(batches()))

    with pytest.raises(Aborted):
        work()
    assert begun == [1]
    assert only_run(guard.contract.database, "outcome batches_done") == ("aborted", 1)


def test_an_answer_is_used_again_while_fresh_and_never_past_the_lease(guard: Beating, connection: Connection) -> None:
    guard.lease = 1.0
    with Migration(connection, "m", poll=0.02, fresh_for=60) as migration:
        migration.checkpoint()
        guard.silent.set()
        guard.say("pause")
        silent = time.monotonic()
        migration.checkpoint()  # the answer from before
        assert time.monotonic() < silent + 0.5
        wait_until(silent + guard.lease)
        timer = threading.Timer(0.3, guard.say, ["proceed"])
        timer.start()
        migration.checkpoint()
        assert time.monotonic() > silent + guard.lease + 0.2
        timer.join()


def test_an_abort_ends_the_run(guard: Beating, connection: Connection) -> None:
    guard.say("abort")
    with pytest.raises(Aborted, match="abort for a test"):
        paced(connection)
    assert only_run(guard.contract.database, "outcome batches_done") == ("aborted", 0)


def test_an_error_of_the_migration_passes_through_and_is_recorded(guard: Beating, connection: Connection) -> None:
    def work() -> None:
        with Migration(connection, "m", poll=0.02) as migration:
            for n in migration.pace(range(3)):
                _ = 1 // n

    with pytest.raises(ZeroDivisionError):
        work()
    outcome, detail = only_run(guard.contract.database, "outcome outcome_detail")
    assert (outcome, "ZeroDivisionError" in detail) == ("failed", True)


def test_the_values_of_a_row_that_was_refused_are_not_recorded(guard: Beating, connection: Connection) -> None:
    connection.execute("create table people (email text primary key)")

    def work() -> None:
        with Migration(connection, "m", poll=0.02):
            for _ in range(2):
                connection.execute("insert into people values ('anna@example.org')")

    with pytest.raises(psycopg.errors.UniqueViolation, match=r"anna@example\.org"):
        work()
    ((detail,),) = [only_run(guard.contract.database, "outcome_detail")]
    assert detail == 'UniqueViolation: duplicate key value violates unique constraint "people_pkey"'


# -- the caller's connection -------------------------------------------------------------------------------------------


def test_inside_a_transaction_it_raises_at_once_even_while_it_might_proceed(
    guard: Beating, connection: Connection
) -> None:
    with Migration(connection, "m", poll=0.02) as migration:
        migration.checkpoint()
        with connection.transaction():
            connection.execute("select 1")
            with pytest.raises(Paused, match="INTRANS"):
                migration.checkpoint()
        with connection.transaction(), pytest.raises(Paused), Migration(connection, "n"):
            pass


def test_a_connection_with_transactions_and_its_own_kind_of_rows_is_left_as_it_was(
    guard: Beating, database: Database
) -> None:
    with psycopg.connect(as_client(database.dsn()), row_factory=dict_row) as connection:
        connection.execute("create table t (n int)")
        connection.commit()
        with Migration(connection, "m", poll=0.02) as migration:
            for n in migration.pace(range(3)):
                connection.execute("insert into t values (%s)", [n])
                connection.commit()
        assert not connection.autocommit
        assert connection.info.transaction_status is psycopg.pq.TransactionStatus.IDLE
        assert connection.execute("select count(*) as n from t").fetchone() == {"n": 3}
        assert (
            connection.execute(
                "select name from pg_prepared_statements where statement like '%migration_guard%'"
            ).fetchall()
            == []
        )
        connection.rollback()
    assert only_run(database, "outcome") == ("done",)


def test_the_end_of_a_run_is_committed_with_the_work_that_is_still_open(guard: Beating, database: Database) -> None:
    with psycopg.connect(as_client(database.dsn())) as connection:
        with Migration(connection, "m", poll=0.02):
            connection.execute("create table t (n int)")
        assert only_run(database, "outcome") == (None,)
        connection.commit()
    assert only_run(database, "outcome") == ("done",)


def test_an_error_inside_a_transaction_is_not_hidden_by_the_end_of_the_run(guard: Beating, database: Database) -> None:
    def work() -> None:
        with psycopg.connect(as_client(database.dsn())) as connection, Migration(connection, "m", poll=0.02):
            connection.execute("select 1/0")

    with pytest.raises(psycopg.errors.DivisionByZero):
        work()


@pytest.mark.parametrize("failing", ["select 1/0", "create table half_a_batch ()"])
def test_a_failed_batch_is_rolled_back_so_that_its_session_is_no_migration_any_more(
    guard: Beating, database: Database, failing: str
) -> None:
    with psycopg.connect(as_client(database.dsn())) as connection:

        def work() -> None:
            with Migration(connection, "m", poll=0.02):
                connection.execute(failing.encode())
                raise RuntimeError("the batch has a bug")

        with pytest.raises((psycopg.errors.DivisionByZero, RuntimeError)):
            work()
        # The connection lives on, perhaps in an application's pool.
        assert only_run(database, "outcome") == ("failed",)
        assert connection.execute("select to_regclass('half_a_batch')").fetchone() == (None,)


def test_commits_of_the_migration_keep_their_own_durability(guard: Beating, connection: Connection) -> None:
    with Migration(connection, "m", poll=0.02) as migration:
        migration.checkpoint()
        assert connection.execute("show synchronous_commit").fetchone() == ("on",)


# -- one run at a time -------------------------------------------------------------------------------------------------


def test_a_second_run_is_refused_and_allowed_once_the_first_has_ended(
    guard: Beating, connection: Connection, database: Database
) -> None:
    with database.connect() as other:
        with Migration(connection, "m"), pytest.raises(AlreadyRunning, match="already running"), Migration(other, "m"):
            pass
        with Migration(other, "m"):
            pass
        with Migration(connection, "m", exclusive=False), Migration(other, "m", exclusive=False):
            pass


def test_without_schema_or_rights_it_says_what_to_do(
    guard: Beating, make_database: Callable[[], Database], make_role: MakeRole
) -> None:
    user = make_role("mg_t_app")
    with make_database().connect() as bare, guard.contract.database.connect(user) as weak:
        with pytest.raises(NotInstalled, match="migration-guard install"):
            paced(bare)
        with pytest.raises(NotPermitted, match="grant migration_guard_client"):
            paced(weak)
