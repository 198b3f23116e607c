"""A fence: had by a run that may proceed, for a bounded time, with every client; and no cancel goes through it."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from guard.act.cancel import QueueCanceller
from guard.act.install import install
from guard.client import Aborted, FenceRefused, Migration, Paused
from guard.errors import NotInstalled
from guard.model import Run
from guard.ports import CancelReport
from guard.postgres import Door
from guard.sql import get
from tests.beating import Beating, Connection, in_thread
from tests.contract import Contract
from tests.fix_postgres import Database, Row
from tests.fix_sessions import Background
from tests.integration.test_cancel import ALTER, READ, Stage, roster, rule, set_the_stage
from tests.shipped import as_client
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

FENCED = "select migration_guard.is_fenced(pid, backend_start) from pg_stat_activity where pid = %s"


@pytest.fixture
def contract(database: Database) -> Iterator[Contract]:
    contract = Contract(database)
    yield contract
    contract.close()


@pytest.fixture
def guard(database: Database) -> Iterator[Beating]:
    guard = Beating(database)
    yield guard
    guard.stop()


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    with psycopg.connect(as_client(database.dsn(application_name="migration:m")), autocommit=True) as connection:
        yield connection


def is_fenced(database: Database, session: Connection) -> bool:
    return bool(database.execute(FENCED, [session.info.backend_pid])[0][0])


def reports(database: Database, report: dict[str, object]) -> None:
    """Have the guard's last report be this one."""
    database.execute("delete from migration_guard.report")
    database.execute("insert into migration_guard.report (report) values (%s)", [Jsonb(report)])


def declare(contract: Contract, run: int, *more: object) -> None:
    what = more or ("cut-over",)
    marks = ", ".join(["%s"] * len(what))
    contract.client.execute(f"select migration_guard.declare_fence(%s, {marks})".encode(), [run, *what])


# -- by SQL ------------------------------------------------------------------------------------------------------------


def test_a_fence_holds_for_its_session_until_it_is_lifted_and_tells_whether_it_held_to_the_end(
    contract: Contract,
) -> None:
    run = contract.admitted_run()
    client, database = contract.client, contract.database
    declare(contract, run, "cut-over", "30 s")
    assert is_fenced(database, client)
    assert client.execute("select migration_guard.unfence('m')").fetchall() == [(True,)]
    assert not is_fenced(database, client)
    assert client.execute("select migration_guard.unfence('m')").fetchall() == [(False,)]
    declare(contract, run, "short", "50 ms")
    wait_for(lambda: not is_fenced(database, client))
    assert client.execute("select migration_guard.unfence('m')").fetchall() == [(False,)]
    declare(contract, run)
    client.execute("select migration_guard.finish('m')")
    assert not is_fenced(database, client)


def test_who_may_not_proceed_gets_no_fence_so_that_one_never_follows_another_past_a_due_cancel(
    contract: Contract,
) -> None:
    run = contract.admitted_run()
    declare(contract, run, "first", "10 s")
    for epoch, order, state in ((2, "pause", "55P03"), (3, "abort", "MG001")):
        contract.publish({"m": order}, admitted=(run,), epoch=epoch)
        contract.client.execute("select migration_guard.unfence('m')")
        with pytest.raises(psycopg.Error) as caught:
            declare(contract, run, "second", "10 s")
        assert caught.value.sqlstate == state
        assert not is_fenced(contract.database, contract.client)


REFUSED: list[tuple[dict[str, object] | None, str, str, str]] = [
    (None, "cut-over", "61 s", "at most 60 s"),
    (None, "a\nb", "1 s", "control character"),
    (None, "", "1 s", "at most 200 characters"),
    (None, "x" * 201, "1 s", "at most 200 characters"),
    ({"longest_fence": 5.0}, "cut-over", "6 s", "at most 5 s"),
    ({"longest_fence": 0.0}, "cut-over", "1 s", "at most 0 s"),
    ({"longest_fence": 60.0}, "cut-over", "0 s", "more than 0 s"),
    ({"longest_fence": 60.0}, "cut-over", "-1 s", "more than 0 s"),
    ({"runs": []}, "cut-over", "1 s", "of an earlier version"),
]


def test_a_fence_that_the_guard_would_not_heed_is_refused_before_its_section_begins(contract: Contract) -> None:
    run = contract.admitted_run()
    for report, what, at_most, words in REFUSED:
        if report is not None:
            reports(contract.database, report)
        with pytest.raises(psycopg.Error, match=words):
            declare(contract, run, what, at_most)
        assert not is_fenced(contract.database, contract.client)


def test_a_fence_is_its_own_sessions_alone_and_none_is_had_in_a_fence(contract: Contract, database: Database) -> None:
    run = contract.admitted_run()
    with psycopg.connect(as_client(database.dsn()), autocommit=True) as other:
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="no open run of this session"):
            other.execute("select migration_guard.declare_fence(%s, 'x')", [run])
        declare(contract, run)
        assert not is_fenced(database, other)
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="in a fence already"):
        declare(contract, run)


@pytest.mark.fault(59)
def test_a_fence_ends_with_its_session_and_does_not_pass_to_a_later_one(contract: Contract) -> None:
    declare(contract, contract.admitted_run())
    run = contract.next_run()
    contract.publish({"m": "proceed"}, admitted=(run,))
    query = "select count(*) from pg_stat_activity where migration_guard.is_fenced(pid, backend_start)"
    assert contract.database.execute(query) == [(0,)]
    declare(contract, run)
    assert contract.database.execute(query) == [(1,)]
    # Nor does a clock that is set back make one hold for hours.
    later = "update migration_guard.fence set since = since + %s::interval, until = until + %s::interval"
    contract.database.execute(later, ["1 h", "1 h"])
    assert contract.database.execute(query) == [(0,)]
    contract.database.execute(later, ["-1 h", "-1 h"])
    # The process id may come again; the start of a session does not.
    same_pid = "select migration_guard.is_fenced(%s, clock_timestamp())"
    assert contract.database.execute(same_pid, [contract.client.info.backend_pid]) == [(False,)]


def test_a_script_waits_for_its_fence_outside_of_a_transaction(guard: Beating, connection: Connection) -> None:
    guard.say("pause")

    def work() -> None:
        connection.execute("call migration_guard.fence('m', 'cut-over', '20 s', poll => '50 ms')")

    with in_thread(work):
        query = "select exists (select from migration_guard.run where acknowledged_epoch >= 2)"
        wait_for(lambda: guard.contract.database.execute(query) == [(True,)])
        assert not is_fenced(guard.contract.database, connection)
        guard.say("proceed")
    assert is_fenced(guard.contract.database, connection)
    connection.execute("select migration_guard.unfence('m')")
    with connection.transaction(), pytest.raises(psycopg.errors.InvalidTransactionTermination):
        connection.execute("call migration_guard.fence('m', 'cut-over')")


# -- by the Python client ----------------------------------------------------------------------------------------------


def test_a_section_of_the_client_is_fenced_asks_for_nothing_and_is_paused_after_it(
    guard: Beating, connection: Connection
) -> None:
    database = guard.contract.database
    with Migration(connection, "m", poll=0.02) as migration:
        with migration.fence("cut-over", at_most="20s"):
            assert is_fenced(database, connection)
            guard.say("pause")
            asked = time.monotonic()
            for _ in range(3):
                migration.checkpoint()
            with connection.transaction():
                connection.execute("create table cut_over ()")
            assert time.monotonic() - asked < 5
            with pytest.raises(FenceRefused, match="already"), migration.fence("inner"):
                pass
        assert not is_fenced(database, connection)
        with in_thread(migration.checkpoint) as waiting:
            waiting.join(0.5)
            assert waiting.is_alive()
            guard.say("proceed")
        guard.say("abort")
        with pytest.raises(Aborted), migration.fence("late"):
            pytest.fail("an aborted migration was let into a section")


class Slow(psycopg.Connection[Row]):
    """Its process stands still for a while after each answer."""

    stands_still = 0.0

    def wait(self, *args: Any, **more: Any) -> Any:
        answer = super().wait(*args, **more)
        time.sleep(self.stands_still)
        return answer


def test_a_client_that_stood_still_does_not_take_its_fence_for_longer_than_it_is(guard: Beating) -> None:
    dsn = as_client(guard.contract.database.dsn(application_name="migration:m"))
    with Slow.connect(dsn, autocommit=True) as connection, Migration(connection, "m", poll=0.02) as migration:
        migration.checkpoint()
        connection.stands_still = 0.6
        with migration.fence("cut-over", 0.5):
            connection.stands_still = 0.0
            guard.say("pause")
            with in_thread(migration.checkpoint) as waiting:
                waiting.join(0.2)
                assert waiting.is_alive()
                guard.say("proceed")


def test_a_section_that_fails_or_leaves_its_transaction_open_is_over_with_its_run(
    guard: Beating, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    database = guard.contract.database

    def fail(migration: Migration) -> None:
        with migration.fence("cut-over"):
            connection.execute("begin")
            connection.execute("create table half ()")
            raise ZeroDivisionError

    def work() -> None:
        with Migration(connection, "m", poll=0.02) as migration:
            with pytest.raises(Paused), connection.transaction(), migration.fence("inside"):
                pass
            with migration.fence("short", 0.05):
                wait_for(lambda: not is_fenced(database, connection))
            assert "fence short ran out before its section was over" in caplog.text
            fail(migration)

    with pytest.raises(ZeroDivisionError):
        work()
    assert not is_fenced(database, connection)


def test_a_fence_that_cannot_be_lifted_takes_nothing_away_from_the_transaction_around_it(
    guard: Beating, connection: Connection, make_role: Callable[..., str]
) -> None:
    make_role("stranger")
    guard.contract.database.execute(f"grant stranger to {connection.info.user}".encode())
    with Migration(connection, "m", poll=0.02) as migration:
        with migration.fence("cut-over"):
            connection.execute("begin")
            connection.execute("create table cut_over ()")
            connection.execute("set local role stranger")  # who may not use the schema
        connection.execute("commit")
    assert guard.contract.database.execute("select to_regclass('cut_over') is not null") == [(True,)]


def test_a_schema_of_an_earlier_version_guards_as_before_and_a_fence_says_what_to_do(
    guard: Beating, connection: Connection
) -> None:
    guard.contract.database.execute("drop function migration_guard.declare_fence")
    with Migration(connection, "m", poll=0.02) as migration:
        assert list(migration.pace(range(3))) == [0, 1, 2]
        with pytest.raises(NotInstalled, match="run migration-guard install"), migration.fence("cut-over"):
            pytest.fail("it was let into a section that nobody would heed")
    install(guard.contract.database.dsn())


# -- under a cancel ----------------------------------------------------------------------------------------------------


@pytest.fixture
def stage(
    database: Database, make_role: Callable[..., str], background: Callable[[str, str], Background]
) -> Iterator[Stage]:
    for name in ("shop", "migrator", "watcher"):
        make_role(name)
    database.execute("grant pg_monitor, pg_signal_backend to watcher")
    yield from set_the_stage(database, background)


class JustBefore(Door):
    """A door through which something happens once, just before a cancel or a terminate goes out."""

    happens: Callable[[], None] | None = None

    async def fetch(self, query: Any, params: Any = None, *, deadline: float | None = None) -> list[Row]:
        if self.happens is not None and query in {get("cancel_query"), get("cancel_session")}:
            await asyncio.to_thread(self.happens)
            self.happens = None
        return await super().fetch(query, params, deadline=deadline)


def act(
    stage: Stage,
    work: Callable[[QueueCanceller], Coroutine[Any, Any, CancelReport]],
    happens: Callable[[], None] | None = None,
) -> CancelReport:
    async def inside() -> CancelReport:
        door = JustBefore(stage.database.dsn("watcher"), purpose="cancel")
        door.happens = happens
        try:
            return await work(QueueCanceller(door))
        finally:
            await door.close()

    return asyncio.run(inside())


def registered(stage: Stage, *statements: str) -> tuple[Background, Run]:
    """A registered migration that has said this and hangs in the last of it; its session and its run."""
    stage.database.execute("grant migration_guard_client to migrator")
    session = stage.migration("select migration_guard.register('x', 'proceed')")
    session.wait()
    [(run_id,)] = stage.database.execute("select max(run_id) from migration_guard.run")
    for statement in statements:
        session.wait()
        session.restart(statement.format(run=run_id))
    return session, stage.run(session.pid, run_id=run_id)


def test_a_queue_behind_a_fenced_session_is_not_cleared_until_the_fence_has_run_out_and_the_words_say_so(
    stage: Stage,
) -> None:
    declare_it = "select migration_guard.declare_fence({run}, 'cut-over', '50 s')"
    session, run = registered(stage, declare_it, "begin", "lock table t")
    session.wait()
    stage.readers()
    report = act(stage, lambda c: c.clear_queue(rule(), roster(run), terminate=False))
    assert report.ended == ()
    assert "is fenced: cut-over" in report.nothing_because
    over = "update migration_guard.fence set since = since - interval '50 s', until = until - interval '50 s'"
    stage.database.execute(over)
    report = act(stage, lambda c: c.clear_queue(rule(), roster(run), terminate=False))
    assert [(ended.how, ended.gone) for ended in report.ended] == [("terminated", True)]
    assert report.ended[0].detail == "(its fence cut-over ran out after 50 s)"


@pytest.mark.parametrize("active", [True, False])
def test_the_cancelling_statement_itself_sees_a_fence_that_was_not_there_at_the_look(
    stage: Stage, *, active: bool
) -> None:
    if active:
        stage.connect("shop", "web", "begin", READ)
        session, run = registered(stage, ALTER)
        stage.blocked(session)
    else:
        session, run = registered(stage, "begin", "lock table t")
        session.wait()
    stage.readers()

    def fence() -> None:
        """Nothing else of the session changes, so nothing else holds the cancel up."""
        query = "insert into migration_guard.fence values (%s, 'x', now(), now() + interval '1 min')"
        stage.admin.execute(query, [run.run_id])

    report = act(stage, lambda c: c.clear_queue(rule(), roster(run), terminate=False), fence)
    assert [ended.how for ended in report.ended] == ["already gone"]
    alive = "select state from pg_stat_activity where pid = %s"
    assert stage.database.execute(alive, [session.pid]) == [("active" if active else "idle in transaction",)]
    assert session.running is active
    assert session.error is None


def test_a_run_is_not_ended_for_a_rollback_before_its_fence_is_over(stage: Stage) -> None:
    declare_it = "select migration_guard.declare_fence({run}, 'cut-over', '1500 ms')"
    session, run = registered(stage, declare_it, "select pg_sleep(30)")
    ends_at = "select extract(epoch from until)::float8 from migration_guard.fence"
    [(fenced_until,)] = stage.database.execute(ends_at)
    report = act(stage, lambda c: c.end_run(run, terminate=True))
    assert [(ended.how, ended.gone) for ended in report.ended] == [("terminated", True)]
    assert stage.database.execute("select extract(epoch from clock_timestamp())::float8")[0][0] >= fenced_until
    session.wait()
    assert isinstance(session.error, psycopg.OperationalError)
