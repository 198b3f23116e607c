"""A backfill beside others who use the table: it waits, gives way, and never makes them the victim."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from guard.client import AlreadyRunning, Migration
from guard.client.backfill import (
    BackfillRefused,
    Definition,
    Hindered,
    Hooks,
    Progress,
    Stopped,
    run,
)
from guard.demo.embedded import Server
from tests.backfilling import COUNT, QUICK, SMALL, counts, stopped, thousand_rows
from tests.beating import Beating, Connection, in_thread
from tests.fix_postgres import Database, MakeRole
from tests.shipped import as_client, as_operator
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


@pytest.fixture
def guard(database: Database) -> Iterator[Beating]:
    guard = Beating(database)
    yield guard
    guard.stop()


@pytest.fixture
def connection(guard: Beating, database: Database) -> Iterator[Connection]:
    with thousand_rows(database) as connection:
        yield connection


def test_a_row_that_others_hold_makes_batches_smaller_and_keeps_it_waiting_only_until_it_is_free(
    guard: Beating, connection: Connection, database: Database
) -> None:
    words: list[str] = []
    seen: list[Progress] = []
    with database.connect() as holder:
        holder.execute("begin")
        holder.execute("update t set region = 'held' where id = 450")
        hooks = Hooks(on_progress=seen.append, on_wait=words.append)
        with in_thread(lambda: run(connection, "m", COUNT, manner=QUICK, hooks=hooks)):
            wait_for(lambda: any("holds a row that it waited for" in word for word in words), within=20)
            blocked = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and pid = %s"
            pid = connection.info.backend_pid
            wait_for(lambda: sum(each.rows for each in seen) > 0, within=20)
            wait_for(lambda: database.execute(blocked, [pid]) == [(0,)], within=20)  # it lets go of what it has
            holder.execute("commit")
    assert min(each.batch for each in seen) < 500
    assert counts(database) == [(1, 1000)]
    assert database.execute("select region from t where id = 450") == [("held",)]


def test_a_row_that_is_never_let_go_of_ends_it_for_now_with_what_is_committed_kept(
    guard: Beating, connection: Connection, database: Database
) -> None:
    with database.connect(application_name="report") as holder:
        holder.execute("begin")
        holder.execute("select from t where id = 950 for update")
        words = rf"could be committed for 0\.5 s: pid {holder.info.backend_pid} \(postgres, report\) holds a row that"
        with pytest.raises(Hindered, match=words):
            run(connection, "m", COUNT, manner=replace(QUICK, patience=0.5, max_batch=300))
        holder.execute("rollback")
    assert counts(database)[-1] == (1, 900)
    run(connection, "m", COUNT, manner=QUICK)
    assert counts(database) == [(1, 1000)]


def write_backwards(database: Database, over: threading.Event) -> int:
    """An application that changes rows in a transaction, from the last to the first; how often it was refused."""
    refused = 0
    with database.connect() as session:
        while not over.is_set():
            try:
                with session.transaction():
                    for key in (950, 900, 850, 800, 650, 550, 450, 400, 350, 300, 150, 50):
                        session.execute("update t set region = 'app' where id = %s", [key])
                        session.execute("select pg_sleep(0.01)")
            except psycopg.errors.DeadlockDetected:
                refused += 1
    return refused


def test_an_application_that_changes_the_same_rows_the_other_way_round_is_never_the_victim(
    guard: Beating, connection: Connection, database: Database
) -> None:
    over = threading.Event()
    slowly = Definition("t", set_="n = n + (select 1 from pg_sleep(case when id % 20 = 0 then 0.01 else 0 end))")
    with ThreadPoolExecutor(2) as threads:
        writers = [threads.submit(write_backwards, database, over) for _ in range(2)]
        try:
            end = time.monotonic() + 2
            while time.monotonic() < end:
                run(connection, "m", slowly, manner=replace(QUICK, anew=True))
        finally:
            over.set()
        # Two writers that go the same way do not meet each other head-on.
        assert [writer.result() for writer in writers] == [0, 0]


def test_two_at_once_are_one_and_a_batch_in_flight_is_waited_for(
    guard: Beating, connection: Connection, database: Database
) -> None:
    stopped(connection, COUNT, 2)
    words: list[str] = []
    with (
        psycopg.connect(as_client(database.dsn()), autocommit=True) as other,
        Migration(other, "m"),
        pytest.raises(AlreadyRunning),
    ):
        run(connection, "m", COUNT, manner=QUICK)
    with database.connect() as orphan:  # of one that was killed a moment ago
        orphan.execute("begin")
        orphan.execute("select from migration_guard.backfill for update")
        with in_thread(lambda: run(connection, "m", COUNT, manner=QUICK, hooks=Hooks(on_wait=words.append))):
            wait_for(lambda: any("another session has a batch of it in flight" in each for each in words), within=20)
            orphan.execute("rollback")
    assert counts(database) == [(1, 1000)]


def test_it_waits_while_paused_with_nothing_held_and_can_be_stopped_there(
    guard: Beating, connection: Connection, database: Database
) -> None:
    over = threading.Event()
    words: list[str] = []

    def work() -> None:
        with pytest.raises(Stopped):
            run(connection, "m", COUNT, manner=SMALL, hooks=Hooks(on_wait=words.append, stop=over.is_set))

    guard.say("pause")
    with in_thread(work):
        wait_for(lambda: any("pause for a test" in each for each in words), within=20)
        look = "select backend_xmin, backend_xid from pg_stat_activity where pid = %s and state = 'idle'"
        wait_for(lambda: database.execute(look, [connection.info.backend_pid]) == [(None, None)])
        over.set()
    assert counts(database) == [(0, 1000)]


def test_a_caller_with_transactions_and_its_own_kind_of_rows_keeps_both(guard: Beating, database: Database) -> None:
    with psycopg.connect(as_client(database.dsn()), row_factory=psycopg.rows.dict_row) as connection:
        connection.execute("create table t (id int primary key, n int not null default 0)")
        connection.execute("insert into t select g from generate_series(1, 1000) g")
        connection.commit()
        run(connection, "m", COUNT, manner=SMALL)
        assert not connection.autocommit
        assert connection.execute("select 1 as one").fetchone() == {"one": 1}
        assert connection.execute("show lock_timeout").fetchone() == {"lock_timeout": "0"}
        connection.rollback()
    assert counts(database) == [(1, 1000)]


def test_another_role_may_neither_go_on_with_it_nor_see_its_cursor(
    guard: Beating, connection: Connection, database: Database, make_role: MakeRole
) -> None:
    stopped(connection, COUNT, 2)
    other = make_role("mg_t_other")
    database.execute(sql.SQL("grant migration_guard_client to {}").format(sql.Identifier(other)))
    database.execute(sql.SQL("grant select, update on t to {}").format(sql.Identifier(other)))
    with database.connect(other) as session, pytest.raises(BackfillRefused, match="belongs to role shipped_client"):
        run(session, "m", COUNT, manner=QUICK)
    with database.connect(other) as session:  # nor by the functions, with a run of that name of its own
        ((run_id,),) = session.execute("select migration_guard.register('m')").fetchall()
        for call in (
            "lock_backfill(%s)",
            "begin_backfill(%s, 't', 'id', '', true)",
            "expect_backfill(%s, 1, '200', '1000')",
            "move_backfill(%s, '900', 1, 1, 0, 0, 0)",
            "pass_backfill(%s, '1')",
            "end_backfill(%s)",
        ):
            with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="belongs to role shipped_client"):
                session.execute(f"select migration_guard.{call}".encode(), [run_id])
    with psycopg.connect(as_operator(database.dsn()), autocommit=True) as operator:
        operator.execute("select migration, rows_done, owner from migration_guard.backfill")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            operator.execute("select last_key from migration_guard.backfill")


def test_beside_a_standby_whose_replay_stands_still_no_more_than_the_window_is_written(
    guard: Beating, connection: Connection, database: Database, standby: Server
) -> None:
    said = {"pacing": {"standbys": [standby.name], "lag": 10}}
    database.execute("delete from migration_guard.report")
    database.execute("insert into migration_guard.report (report) values (%s)", [json.dumps(said)])
    seen: list[Progress] = []
    manner, wide = replace(QUICK, window=64 << 10, max_batch=50), Definition("t", set_="region = repeat('x', 500)")
    standby.execute("select pg_wal_replay_pause()")
    wait_for(lambda: standby.execute("select pg_get_wal_replay_pause_state()") == [("paused",)], within=20)
    behind = "select bytes from migration_guard.unreplayed()"
    with in_thread(lambda: run(connection, "m", wide, manner=manner, hooks=Hooks(on_progress=seen.append))):
        wait_for(lambda: database.execute(behind)[0][0] > 64 << 10, within=20)
        done = len(seen)
        look = time.monotonic() + 1.0
        wait_for(lambda: time.monotonic() > look)
        assert len(seen) <= done + 2  # one may have begun by then
        assert not seen or seen[-1].rows < 500  # WAL of the server's own may fill the window before the first batch
        standby.execute("select pg_wal_replay_resume()")
    assert seen[-1].rows == 1000
    assert max(each.batch for each in seen[5:]) < 40  # a quarter of the window


def test_where_no_guard_has_ever_spoken_it_goes_on_alone_only_if_it_was_told_to(
    guard: Beating, connection: Connection, database: Database
) -> None:
    words: list[str] = []
    seen: list[Progress] = []
    told = "backfill m: the next batch waits: no guard has said which standbys are expected"
    hooks = Hooks(on_progress=seen.append, on_wait=words.append, stop=lambda: told in words)
    with pytest.raises(Stopped):
        run(connection, "m", COUNT, manner=replace(QUICK, window=True), hooks=hooks)
    assert seen == []
    guard.die()
    alone = replace(QUICK, window=True, on_guard_lost="proceed")
    assert run(connection, "m", COUNT, manner=alone).rows == 1000


def test_a_batch_that_would_take_too_long_is_rolled_back_before_a_deadlock_is_looked_for(
    guard: Beating, connection: Connection, database: Database
) -> None:
    words: list[str] = []
    seen: list[Progress] = []
    slow = Definition("t", set_="n = n + (select 1 from pg_sleep(0.006 + 0 * t.id))", where="id <= 200")
    run(connection, "m", slow, manner=QUICK, hooks=Hooks(on_progress=seen.append, on_wait=words.append))
    assert any("it was cancelled, or took longer than 0.9 s" in each for each in words)
    assert seen[0].batch < 200
    assert counts(database) == [(0, 800), (1, 200)]
