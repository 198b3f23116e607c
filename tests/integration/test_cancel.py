"""A queue behind a migration is cleared by ending the migration's work, and nobody else's.

The canceller asks as a role with pg_monitor and pg_signal_backend alone; blockers and waiters are real sessions.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from guard.act.cancel import QueueCanceller
from guard.act.install import install
from guard.judge.conditions import parse_condition
from guard.model import Dimension, OperatorOrder, Roster, Rule, Run, Session
from guard.ports import CancelReport
from guard.postgres import Door
from tests.fix_postgres import Database, MakeCluster, MakeRole, Row
from tests.fix_sessions import Background
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

WAITED = 0.3
ALTER = "alter table t add column c int"
READ = "select count(*) from t"
NO_ORDERS: tuple[OperatorOrder, ...] = ()


def rule(cancel: str = ">= 3", metric: str = "queued_behind_migration", migrations: tuple[str, ...] = ()) -> Rule:
    seconds = metric in {"longest_wait", "idle_in_transaction"}
    return Rule(
        name="lock queue",
        sensor=f"locks.{metric}",
        metric=f"locks.{metric}",
        dimension=Dimension.SECONDS if seconds else Dimension.COUNT,
        resume=parse_condition("<= 0s" if seconds else "<= 0"),
        cancel=parse_condition(cancel),
        waited=WAITED,
        migrations=migrations,
    )


def roster(*runs: Run) -> Roster:
    return Roster(runs=runs, strangers=(), operator_orders=NO_ORDERS, forgotten=(), taken_at=0.0, server_wall=0.0)


@dataclasses.dataclass
class Stage:
    """A table `t` of 100 rows, an application, a migration, and sessions of both that hang as told."""

    database: Database
    admin: psycopg.Connection[Row]
    start: Callable[[str, str], Background]
    opened: list[psycopg.Connection[Row]] = dataclasses.field(default_factory=list)

    def app(self, statement: str) -> Background:
        return self.start(self.database.dsn("shop", application_name="web"), statement)

    def migration(self, statement: str, name: str = "migration:x", user: str = "migrator") -> Background:
        return self.start(self.database.dsn(user, application_name=name), statement)

    def blocked(self, session: Background) -> Background:
        session.wait_blocked(self.admin)
        return session

    def connect(self, user: str, name: str, *statements: str) -> psycopg.Connection[Row]:
        connection = self.database.connect(user, application_name=name)
        self.opened.append(connection)
        for statement in statements:
            connection.execute(statement.encode())
        return connection

    def readers(self, number: int = 3, statement: str = READ) -> list[Background]:
        """Sessions of the application that have all waited for a lock for at least as long as the rule says."""
        started = [self.app(statement) for _ in range(number)]
        self.wait_waited(started)
        return started

    def wait_waited(self, sessions: list[Background]) -> None:
        query = """select count(*) from pg_locks
                    where pid = any (%s) and not granted and clock_timestamp() - waitstart > %s * interval '1 s'"""
        pids = [session.pid for session in sessions]
        wait_for(
            lambda: self.admin.execute(query, [pids, WAITED]).fetchone() == (len(pids),),
            message=f"{len(pids)} sessions to have waited {WAITED} s",
        )

    def activity(self, pid: int) -> Row | None:
        return self.admin.execute(
            "select state, extract(epoch from backend_start)::float8 from pg_stat_activity where pid = %s", [pid]
        ).fetchone()

    def run(self, pid: int, **more: Any) -> Run:
        """A run whose registered session is the process *pid*."""
        found = self.activity(pid)
        assert found is not None
        named = {"usename": "migrator", "application_name": "migration:x"}
        session = Session(pid=pid, backend_start_wall=found[1], **{k: more.pop(k, v) for k, v in named.items()})
        known: dict[str, Any] = {"run_id": 7, "migration": "x", "session": session}
        return Run(**{**known, "registered_wall": 0.0, "last_seen_wall": 0.0, **more})


@pytest.fixture
def stage(database: Database, make_role: MakeRole, background: Callable[[str, str], Background]) -> Iterator[Stage]:
    for name in ("shop", "migrator", "watcher"):
        make_role(name)
    database.execute("grant pg_monitor, pg_signal_backend to watcher")
    yield from set_the_stage(database, background)


def set_the_stage(database: Database, background: Callable[[str, str], Background]) -> Iterator[Stage]:
    with database.connect() as admin:
        admin.execute("create table t as select i as id, 0 as n from generate_series(1, 100) i")
        admin.execute("alter table t owner to migrator")
        admin.execute("grant all on t to shop")
        admin.execute("grant all on schema public to migrator")
        made = Stage(database, admin, background)
        install(database.dsn())
        admin.execute("grant migration_guard_guard to watcher")
        yield made
        for connection in made.opened:
            connection.close()


class Interrupted(Door):
    """A door through which something happens just before the first cancel or terminate goes out."""

    before: Callable[[], None] | None = None

    async def fetch(self, query: Any, params: Any = None, *, deadline: float | None = None) -> list[Row]:
        if self.before is not None:
            await asyncio.to_thread(self.before)
            self.before = None
        return await super().fetch(query, params, deadline=deadline)


def act(
    stage: Stage,
    work: Callable[[QueueCanceller], Any],
    *,
    before: Callable[[], None] | None = None,
    user: str = "watcher",
    **more: Any,
) -> Any:
    """What a canceller reports that recognises the role migrator with names `migration:*`."""

    async def inside() -> Any:
        door = Interrupted(stage.database.dsn(user), purpose="cancel")
        door.before = before
        given: dict[str, Any] = {"roles": ["migrator"], "application_names": ["migration:*"], **more}
        canceller = QueueCanceller(door, **given)
        try:
            return await work(canceller)
        finally:
            await canceller.close()

    return asyncio.run(inside())


def clear(stage: Stage, *runs: Run, by: Rule | None = None, terminate: bool = False, **more: Any) -> CancelReport:
    report = act(stage, lambda c: c.clear_queue(by or rule(), roster(*runs), terminate=terminate), **more)
    assert isinstance(report, CancelReport)
    return report


def ends(report: CancelReport) -> list[tuple[int, str, bool]]:
    return [(each.session.pid, each.how, each.gone) for each in report.ended]


# -- whom it ends ------------------------------------------------------------------------------------------------------


@pytest.mark.fault(33)
def test_readers_behind_a_waiting_alter_are_released_and_neither_they_nor_the_holder_are_touched(stage: Stage) -> None:
    holder = stage.connect("shop", "web", "begin", READ)
    alter = stage.blocked(stage.migration(ALTER))
    readers = stage.readers(5)
    report = clear(stage)
    assert ends(report) == [(alter.pid, "cancelled", True)]
    assert report.queued == 5
    for reader in readers:
        reader.wait()
        assert reader.error is None
    alter.wait()
    assert isinstance(alter.error, psycopg.errors.QueryCanceled)
    assert holder.execute("select 1").fetchone() == (1,)
    assert f"session {holder.info.backend_pid} (shop, web), idle in transaction for" in report.root


def test_a_queue_that_has_shrunk_meanwhile_is_left_alone(stage: Stage) -> None:
    stage.connect("shop", "web", "begin", READ)
    alter = stage.blocked(stage.migration(ALTER))
    stage.readers(2)
    report = clear(stage)
    assert (ends(report), report.queued) == ([], 2)
    assert report.nothing_because == "looked again: 2, not >= 3"
    assert alter.running


def test_writers_that_wait_for_rows_of_a_healthy_backfill_are_no_queue(stage: Stage) -> None:
    stage.connect("migrator", "migration:x", "begin", "update t set n = 1")
    stage.readers(4, "update t set n = 2 where id = 5")
    report = clear(stage, by=rule(">= 1"))
    assert (ends(report), report.queued) == ([], 0)


def test_row_waits_are_counted_by_the_metric_that_is_for_them(stage: Stage) -> None:
    batch = stage.migration("begin; update t set n = 1; select pg_sleep(60)")
    wait_for(lambda: stage.admin.execute("select from pg_locks where locktype = 'transactionid'").fetchall())
    writers = stage.readers(3, "update t set n = 2 where id = 5")
    report = clear(stage, by=rule(metric="row_waits_behind_migration"))
    assert ends(report) == [(batch.pid, "cancelled", True)]
    for writer in writers:
        writer.wait()
        assert writer.error is None


def test_the_one_that_waits_in_the_queue_is_ended_before_the_one_that_holds(stage: Stage) -> None:
    holder = stage.migration("begin; update t set n = 1; select pg_sleep(60)", "migration:batch")
    wait_for(lambda: stage.admin.execute("select from pg_locks where locktype = 'transactionid'").fetchall())
    alter = stage.blocked(stage.migration(ALTER))
    readers = stage.readers()
    report = clear(stage)
    assert ends(report) == [(alter.pid, "cancelled", True)]
    for reader in readers:
        reader.wait()
    assert holder.running


@pytest.mark.fault(35)
def test_a_swallowed_cancel_is_reported_and_terminating_helps(stage: Stage) -> None:
    stubborn = stage.migration(
        """do $$ begin
             lock table t;
             loop begin perform pg_sleep(60); exception when query_canceled then null; end; end loop;
           end $$"""
    )
    wait_for(lambda: stage.admin.execute("select from pg_locks where mode = 'AccessExclusiveLock'").fetchall())
    readers = stage.readers()
    report = clear(stage)
    assert ends(report) == [(stubborn.pid, "cancelled", False)]
    assert "still holds others up" in report.ended[0].detail
    assert ends(clear(stage, terminate=True)) == [(stubborn.pid, "terminated", True)]
    for reader in readers:
        reader.wait()
        assert reader.error is None


@pytest.mark.fault(34)
def test_idle_in_transaction_is_terminated_at_once_since_a_cancel_would_do_nothing(stage: Stage) -> None:
    idle = stage.connect("migrator", "migration:x", "begin", "lock table t")
    readers = stage.readers()
    report = clear(stage, by=rule("> 100ms", "idle_in_transaction"))
    assert ends(report) == [(idle.info.backend_pid, "terminated", True)]
    for reader in readers:
        reader.wait()
        assert reader.error is None
    with pytest.raises(psycopg.OperationalError):
        idle.execute("select 1")


def test_one_long_wait_is_enough_for_the_metric_of_the_longest(stage: Stage) -> None:
    stage.connect("shop", "web", "begin", READ)
    alter = stage.blocked(stage.migration(ALTER))
    stage.readers(1)
    assert ends(clear(stage, by=rule("> 1h", "longest_wait"))) == []
    assert ends(clear(stage, by=rule("> 250ms", "longest_wait"))) == [(alter.pid, "cancelled", True)]


# -- whom it leaves ----------------------------------------------------------------------------------------------------


def test_the_applications_own_alter_is_never_ended(stage: Stage) -> None:
    stage.admin.execute("alter table t owner to shop")
    stage.connect("shop", "web", "begin", READ)
    # The migration's name in the application's role: both must fit.
    alter = stage.blocked(stage.migration(ALTER, user="shop"))
    stage.readers()
    assert ends(clear(stage)) == []
    assert alter.running


def test_nothing_of_a_run_behind_a_transaction_pooler_is_ended(stage: Stage) -> None:
    stage.connect("shop", "web", "begin", READ)
    alter = stage.blocked(stage.migration(ALTER))
    elsewhere = stage.connect("migrator", "migration:x", "select 1")
    stage.readers()
    assert ends(clear(stage, stage.run(alter.pid, pooled=True))) == []
    # Its session was seen on another backend of the pool; this one looks the same.
    assert ends(clear(stage, stage.run(elsewhere.info.backend_pid, pooled=True))) == []
    # And where that backend is gone, nobody can say any more which ones are the pool's.
    gone = dataclasses.replace(stage.run(elsewhere.info.backend_pid, pooled=True), session=None)
    assert ends(clear(stage, gone)) == []
    assert alter.running


def test_a_registered_backend_that_bears_the_applications_name_by_now_is_left_alone(stage: Stage) -> None:
    stage.connect("shop", "web", "begin", READ)
    alter = stage.blocked(stage.migration(ALTER, name="web"))
    stage.readers()
    assert ends(clear(stage, stage.run(alter.pid))) == []
    assert alter.running
    assert ends(clear(stage, stage.run(alter.pid, application_name="web"))) == [(alter.pid, "cancelled", True)]


def test_a_rule_for_another_migration_ends_nothing_of_this_one(stage: Stage) -> None:
    stage.connect("shop", "web", "begin", READ)
    alter = stage.blocked(stage.migration(ALTER))
    stage.readers()
    run = stage.run(alter.pid)
    assert ends(clear(stage, run, by=rule(migrations=("y",)))) == []
    assert ends(clear(stage, run, by=rule(migrations=("y", "*")))) == []
    assert alter.running
    report = clear(stage, run, by=rule(migrations=("x",)))
    assert ends(report) == [(alter.pid, "cancelled", True)]
    assert report.ended[0].session.run_id == 7


def test_a_statement_that_began_after_the_look_is_not_cancelled(stage: Stage) -> None:
    stage.admin.execute("select pg_advisory_lock(1)")
    batch = stage.blocked(stage.migration("begin; lock table t; select pg_advisory_lock(1)"))
    stage.readers()

    def next_statement() -> None:
        stage.admin.execute("select pg_advisory_unlock(1)")
        batch.wait()
        batch.restart("select pg_sleep(60)")
        wait_for(lambda: (found := stage.activity(batch.pid)) is not None and found[0] == "active")

    assert ends(clear(stage, before=next_statement)) == [(batch.pid, "already gone", True)]
    assert batch.running


def test_nobody_is_cancelled_when_the_queue_dissolves_after_the_look(stage: Stage) -> None:
    stage.connect("shop", "web", "begin", READ)
    alter = stage.blocked(stage.migration(ALTER))
    readers = stage.readers()

    def leave() -> None:
        for reader in readers:
            reader.close()

    assert ends(clear(stage, before=leave)) == [(alter.pid, "already gone", True)]
    assert alter.running


@pytest.mark.fault(24)
def test_a_privilege_that_is_granted_after_a_refusal_counts(stage: Stage) -> None:
    stage.database.execute("revoke pg_signal_backend from watcher")
    stage.connect("shop", "web", "begin", READ)
    alter = stage.blocked(stage.migration(ALTER))
    stage.readers()

    async def thrice(canceller: QueueCanceller) -> list[CancelReport]:
        reports = [await canceller.clear_queue(rule(), roster(), terminate=False) for _ in range(2)]
        await asyncio.to_thread(stage.database.execute, "grant pg_signal_backend to watcher")
        await asyncio.sleep(0.6)  # as long as a refusal is believed
        return [*reports, await canceller.clear_queue(rule(), roster(), terminate=False)]

    first, second, third = act(stage, thrice, refused_for=0.5)
    assert ends(first) == [(alter.pid, "refused", False)]
    assert "pg_signal_backend is missing" in second.nothing_because
    assert ends(third) == [(alter.pid, "cancelled", True)]


@pytest.mark.fault(24)
def test_a_superusers_migration_is_refused_once_and_not_tried_again(stage: Stage) -> None:
    stage.connect("shop", "web", "begin", READ)
    alter = stage.blocked(stage.migration(ALTER, user="postgres"))
    stage.readers()

    async def twice(canceller: QueueCanceller) -> list[CancelReport]:
        return [await canceller.clear_queue(rule(), roster(), terminate=again) for again in (False, True)]

    first, second = act(stage, twice, roles=["postgres"])
    assert ends(first) == [(alter.pid, "refused", False)]
    assert "superuser" in first.ended[0].detail
    assert ends(second) == []
    assert "superuser" in second.nothing_because
    assert alter.running


@pytest.mark.parametrize(
    ("held", "statement", "follower", "ended"),
    [
        ("access share", "vacuum full t", READ, True),
        ("access share", "/* tool */ vacuum (full, analyze) t", READ, True),
        ("access share", "alter table t add column d int, validate constraint positive", READ, True),
        ("share update exclusive", "-- tool\n/* * */ VACUUM (analyze) t", "lock table t in share mode", False),
        ("share update exclusive", "alter table t validate constraint positive", "lock table t in share mode", False),
        ("share update exclusive", "create index concurrently i on t (n)", "lock table t in share mode", False),
    ],
)
@pytest.mark.fault(37)
def test_what_stops_nobody_by_itself_is_left_to_finish(
    stage: Stage, held: str, statement: str, follower: str, ended: bool
) -> None:
    stage.admin.execute("alter table t add constraint positive check (n >= 0) not valid")
    stage.connect("shop", "web", "begin", f"lock table t in {held} mode")
    waiting = stage.blocked(stage.migration(statement))
    stage.readers(3, f"begin; {follower}")
    report = clear(stage)
    assert ends(report) == ([(waiting.pid, "cancelled", True)] if ended else [])
    assert ended or "is left to finish" in report.nothing_because
    if ended:
        waiting.wait()
    assert waiting.running is not ended


# -- what it tells -----------------------------------------------------------------------------------------------------


@pytest.mark.fault(37)
def test_a_cancelled_concurrent_index_is_named_with_the_statement_that_drops_it(stage: Stage) -> None:
    stage.admin.execute("create index old on t (id)")
    stage.admin.execute("update pg_index set indisvalid = false where indexrelid = 'old'::regclass")
    stage.connect("shop", "web", "begin isolation level repeatable read", "select 1 from t limit 1")
    building = stage.blocked(stage.migration('create index concurrently "New one" on t (n)'))
    stage.readers(3, "begin; lock table t in share mode")
    report = clear(stage, let_finish=False)
    assert ends(report) == [(building.pid, "cancelled", True)]
    assert report.leftovers == ('invalid index public."New one": DROP INDEX CONCURRENTLY public."New one";',)


@pytest.fixture
def own_stage(make_cluster: MakeCluster, background: Callable[[str, str], Background]) -> Iterator[Stage]:
    """The same on a server of its own: with prepared transactions, and an autovacuum that takes long."""
    settings = {
        "max_prepared_transactions": "5",
        "autovacuum": "on",
        "autovacuum_naptime": "1s",
        "autovacuum_vacuum_cost_delay": "100ms",
        "autovacuum_vacuum_cost_limit": "1",
    }
    server = make_cluster(0, settings=settings).primary
    for name in ("shop", "migrator", "watcher"):
        server.execute(f"create role {name} login password '{server.password}'".encode())
    server.execute("grant pg_monitor, pg_signal_backend to watcher")
    yield from set_the_stage(Database("postgres", server), background)


@pytest.mark.fault(36)
def test_a_prepared_transaction_at_the_head_of_the_queue_is_named_and_left(own_stage: Stage) -> None:
    stage = own_stage
    stage.connect("shop", "web", "begin", READ, "prepare transaction 'order-17'").close()
    alter = stage.blocked(stage.migration(ALTER))
    stage.readers()
    report = clear(stage)
    assert ends(report) == [(alter.pid, "cancelled", True)]
    assert "prepared transaction 'order-17' of shop" in report.root
    assert "ROLLBACK PREPARED" in report.root
    assert stage.admin.execute("select gid from pg_prepared_xacts").fetchall() == [("order-17",)]


@pytest.mark.fault(36)
def test_an_autovacuum_against_wraparound_at_the_head_of_the_queue_is_named_and_left(own_stage: Stage) -> None:
    stage = own_stage
    stage.admin.execute("insert into t select i, 0 from generate_series(1, 60000) i")
    stage.admin.execute("alter table t set (autovacuum_freeze_max_age = 100000)")
    stage.admin.execute("do $$ begin for i in 1..101000 loop perform txid_current(); commit; end loop; end $$")
    worker = wait_for(
        lambda: stage.admin.execute(
            """select l.pid from pg_locks l join pg_stat_activity using (pid)
                where l.relation = 't'::regclass and backend_type = 'autovacuum worker'"""
        ).fetchall(),
        within=20.0,
        message="an autovacuum worker on t",
    )
    alter = stage.blocked(stage.migration(ALTER))
    stage.readers()
    report = clear(stage)
    assert ends(report) == [(alter.pid, "cancelled", True)]
    assert report.root == (
        f"autovacuum worker {worker[0][0]}: it prevents transaction id wraparound and must be left to finish"
    )
    assert stage.activity(worker[0][0]) is not None


# -- ending a run ------------------------------------------------------------------------------------------------------


def end_run(stage: Stage, run: Run, *, terminate: bool = False) -> CancelReport:
    report = act(stage, lambda c: c.end_run(run, terminate=terminate))
    assert isinstance(report, CancelReport)
    return report


@pytest.mark.parametrize("terminate", [False, True])
def test_a_run_is_ended_with_its_session_and_others_of_the_same_name_are_not(stage: Stage, terminate: bool) -> None:
    working = stage.migration("select pg_sleep(60)")
    other = stage.migration("select pg_sleep(60)")
    wait_for(lambda: (found := stage.activity(working.pid)) is not None and found[0] == "active")
    assert ends(end_run(stage, stage.run(working.pid), terminate=terminate)) == [(working.pid, "terminated", True)]
    assert stage.activity(working.pid) is None
    assert other.running


def test_a_run_that_swallows_its_cancel_is_terminated(stage: Stage) -> None:
    stubborn = stage.migration(
        "do $$ begin loop begin perform pg_sleep(60); exception when query_canceled then null; end; end loop; end $$"
    )
    wait_for(lambda: (found := stage.activity(stubborn.pid)) is not None and found[0] == "active")
    assert ends(end_run(stage, stage.run(stubborn.pid))) == [(stubborn.pid, "terminated", True)]


def test_an_ended_or_renamed_or_pooled_session_is_not_touched(stage: Stage) -> None:
    idle = stage.connect("migrator", "web", "select 1")
    run = stage.run(idle.info.backend_pid)
    assert ends(end_run(stage, run)) == [(idle.info.backend_pid, "refused", False)]
    assert "pooler" in end_run(stage, dataclasses.replace(run, pooled=True)).nothing_because
    assert "no longer exists" in end_run(stage, dataclasses.replace(run, session=None)).nothing_because
    assert idle.execute("select 1").fetchone() == (1,)
    idle.close()
    wait_for(lambda: stage.activity(run_pid(run)) is None)
    assert ends(end_run(stage, run)) == [(run_pid(run), "already gone", True)]


def run_pid(run: Run) -> int:
    assert run.session is not None
    return run.session.pid


# -- sessions that their run has left ----------------------------------------------------------------------------------


@pytest.fixture
def left(stage: Stage) -> psycopg.Connection[Row]:
    """A connection of the application on which a migration of its own ran and has said its end."""
    stage.database.execute("grant migration_guard_client to shop")
    return stage.connect("shop", "web", "select migration_guard.register('x')")


def of(stage: Stage, left: psycopg.Connection[Row]) -> Run:
    """Its run, as the roster showed it while it was open."""
    [(run_id,)] = stage.database.execute("select max(run_id) from migration_guard.run")
    return stage.run(left.info.backend_pid, run_id=run_id, usename="shop", application_name="web")


def test_what_an_application_does_on_a_connection_that_its_migration_has_left_is_not_cancelled_for_a_queue(
    stage: Stage, left: psycopg.Connection[Row]
) -> None:
    run = of(stage, left)
    left.execute("select migration_guard.finish('x')")
    left.execute("begin")
    left.execute("lock table t")
    stage.readers()
    report = clear(stage, run)
    assert (ends(report), report.queued) == ([], 0)
    left.execute("commit")


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_connection_that_its_run_has_left_is_no_session_of_it_to_be_ended_before_a_rollback(
    stage: Stage, left: psycopg.Connection[Row], *, goes_on: bool
) -> None:
    run = of(stage, left)
    left.execute("select migration_guard.finish('x', 'aborted')")
    if goes_on:
        left.execute("begin")
        left.execute("select 1")
    assert ends(end_run(stage, run)) == [(run_pid(run), "already gone", True)]
    assert left.execute("select 1").fetchone() == (1,)


def test_a_statement_that_a_run_began_before_its_end_was_said_is_still_its_own(
    stage: Stage, left: psycopg.Connection[Row]
) -> None:
    run = of(stage, left)
    left.execute("begin")
    left.execute("select 1")
    elsewhere = stage.connect("shop", "other", "select 1")
    elsewhere.execute("select migration_guard.finish(%s::bigint)", [run.run_id])
    assert ends(end_run(stage, run)) == [(run_pid(run), "terminated", True)]


def test_a_session_with_the_role_and_the_name_of_migrations_is_one_whatever_its_run_has_said(stage: Stage) -> None:
    stage.database.execute("grant migration_guard_client to migrator")
    session = stage.connect("migrator", "migration:x", "select migration_guard.register('x')")
    [(run_id,)] = stage.database.execute("select max(run_id) from migration_guard.run")
    run = stage.run(session.info.backend_pid, run_id=run_id)
    session.execute("select migration_guard.finish('x', 'aborted')")
    assert ends(end_run(stage, run)) == [(run_pid(run), "terminated", True)]
