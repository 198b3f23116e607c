"""What hinders a migration from writing about itself does not end it, nor hold it up."""

from collections.abc import Iterator

import pytest

from guard.client import Migration
from tests.beating import Beating, Connection, in_thread, only_run
from tests.fix_matrix import Took
from tests.fix_postgres import Database

pytestmark = pytest.mark.integration


@pytest.fixture
def guard(database: Database) -> Iterator[Beating]:
    guard = Beating(database)
    yield guard
    guard.stop()


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    with database.connect(application_name="migration:m") as connection:
        yield connection


@pytest.mark.fault(20)
def test_a_server_that_takes_no_writes_for_a_while_ends_no_migration_that_waits(
    guard: Beating, connection: Connection
) -> None:
    told: list[str] = []

    def heal(words: str) -> None:
        told.append(words)
        if "pause" in words:
            connection.execute("set default_transaction_read_only = off")
            guard.say("proceed")

    with Migration(connection, "m", poll=0.02, fresh_for=0, on_wait=heal) as migration:
        migration.checkpoint()
        before = only_run(guard.contract.database, "acknowledged_epoch")
        guard.say("pause")
        migration.progress(1)
        connection.execute("set default_transaction_read_only = on")
        migration.checkpoint()
        assert any("pause" in words for words in told)
        assert only_run(guard.contract.database, "acknowledged_epoch") > before


@pytest.mark.fault(29)
def test_somebody_who_has_locked_its_row_holds_up_no_batch_and_what_it_says_is_written_later(
    guard: Beating, connection: Connection, database: Database, took: Took
) -> None:
    with Migration(connection, "m", poll=0.02, fresh_for=0) as migration, database.connect() as stuck:
        migration.checkpoint()
        stuck.execute("begin; select * from migration_guard.run for update")
        guard.say("pause")
        with in_thread(migration.checkpoint) as waiting:
            guard.say("proceed")
            with took.within(2.0):
                waiting.join(10)
            assert not waiting.is_alive()
        epoch = guard.epoch
        stuck.rollback()
        migration.checkpoint()
        assert only_run(database, "acknowledged_epoch") == (epoch,)


@pytest.mark.fault(29)
def test_a_script_in_sql_goes_on_too_although_somebody_has_locked_its_row(
    guard: Beating, connection: Connection, database: Database
) -> None:
    connection.execute("call migration_guard.checkpoint('m', '20 ms')")
    with database.connect() as stuck:
        stuck.execute("begin; select * from migration_guard.run for update")
        guard.say("pause")
        guard.say("proceed")
        connection.execute("set statement_timeout = '5s'")
        connection.execute("call migration_guard.checkpoint('m', '20 ms')")
