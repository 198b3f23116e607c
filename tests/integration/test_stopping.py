"""Sessions of a run that is told to pause and goes on, ended on a real server: what is at work, and nothing else."""

import asyncio
import dataclasses
from collections.abc import Callable

import psycopg
import pytest

from guard.act.cancel import QueueCanceller
from guard.act.install import install
from guard.model import Run, Session
from guard.ports import CancelReport
from guard.postgres import Door
from tests.fix_postgres import Database, MakeRole, Row
from tests.fix_sessions import Background
from tests.shipped import as_guard
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

SWALLOWS = "do $$ begin loop begin perform pg_sleep(60); exception when query_canceled then null; end; end loop; end $$"
Start = Callable[[str, str], Background]


@pytest.fixture
def place(database: Database, make_role: MakeRole) -> Database:
    """A table of the role that migrates, which is registered as run 7."""
    install(database.dsn())
    make_role("migrator", "in role migration_guard_client")
    database.execute("grant create on schema public to migrator")
    database.execute("create table t (id int primary key); alter table t owner to migrator")
    return database


def run_of(place: Database, *pids: int, **more: object) -> Run:
    """A run with these sessions; the first is the registered one."""
    query = (
        "select pid, extract(epoch from backend_start)::float8, usename::text, application_name from pg_stat_activity"
    )
    seen = {row[0]: Session(*row) for row in place.execute(query.encode())}
    first, *members = (seen[pid] for pid in pids)
    run = Run(7, "x", first, 0.0, 0.0, members=tuple(members))
    return dataclasses.replace(run, **more)  # type: ignore[arg-type]


def stop(place: Database, run: Run, *, terminate: bool = False, let_finish: bool = True) -> CancelReport:
    async def ask() -> CancelReport:
        door = Door(as_guard(place.dsn()), purpose="cancel")
        hands = QueueCanceller(door, roles=("migrator",), let_finish=let_finish)
        try:
            return await hands.stop(run, terminate=terminate)
        finally:
            await hands.close()

    return asyncio.run(ask())


def ends(report: CancelReport) -> list[tuple[int, str, bool]]:
    return [(each.session.pid, each.how, each.gone) for each in report.ended]


def active(place: Database, background: Start, statement: str) -> Background:
    """A session of the migration that is at this statement."""
    session = background(place.dsn("migrator", application_name="migration:x"), statement)
    query = "select state from pg_stat_activity where pid = %s"
    wait_for(lambda: place.execute(query, [session.pid]) == [("active",)])
    return session


def idle(place: Database, *statements: str) -> psycopg.Connection[Row]:
    connection = place.connect("migrator", application_name="migration:x")
    for statement in statements:
        connection.execute(statement.encode())
    return connection


@pytest.mark.fault(58)
def test_what_is_at_work_is_cancelled_and_who_only_waits_stays(place: Database, background: Start) -> None:
    at_work = active(place, background, "select pg_sleep(60)")
    inside = idle(place, "begin", "insert into t values (1)")
    with idle(place, "select 1") as quiet:
        run = run_of(place, quiet.info.backend_pid, at_work.pid, inside.info.backend_pid)
        assert ends(stop(place, run)) == [(at_work.pid, "cancelled", True)]
        at_work.wait()
        assert isinstance(at_work.error, psycopg.errors.QueryCanceled)
        inside.execute("commit")
        inside.execute("begin")
        assert ends(stop(place, run, terminate=True)) == []
        inside.execute("insert into t values (2)")
        assert ends(stop(place, run, terminate=True)) == [(inside.info.backend_pid, "terminated", True)]
        assert quiet.execute("select 1").fetchone() == (1,)
    inside.close()


@pytest.mark.fault(35)
def test_who_swallows_its_cancel_is_seen_to_be_still_at_work_and_can_be_terminated(
    place: Database, background: Start
) -> None:
    stubborn = active(place, background, SWALLOWS)
    run = run_of(place, stubborn.pid)
    report = stop(place, run)
    assert ends(report) == [(stubborn.pid, "cancelled", False)]
    assert report.ended[0].detail == "and still at work 2 s later"
    assert ends(stop(place, run, terminate=True)) == [(stubborn.pid, "terminated", True)]
    stubborn.wait()


def test_between_two_statements_of_a_loop_the_next_one_is_hit(place: Database, background: Start) -> None:
    loop = "do $$ begin for i in 1..100000 loop perform pg_sleep(0.01); end loop; end $$"
    restless = active(place, background, loop)
    assert ends(stop(place, run_of(place, restless.pid))) == [(restless.pid, "cancelled", True)]


@pytest.mark.fault(24)
def test_a_superusers_session_is_refused_with_the_reason(place: Database, background: Start) -> None:
    strong = background(place.dsn("postgres", application_name="migration:x"), "select pg_sleep(60)")
    query = "select state from pg_stat_activity where pid = %s"
    wait_for(lambda: place.execute(query, [strong.pid]) == [("active",)])
    report = stop(place, run_of(place, strong.pid))
    assert ends(report) == [(strong.pid, "refused", False)]
    assert "superuser" in report.ended[0].detail
    assert strong.running


@pytest.mark.fault(37)
@pytest.mark.parametrize("let_finish", [True, False])
def test_an_index_that_is_built_is_left_to_finish_or_named_with_what_mends_it(
    place: Database, background: Start, let_finish: bool
) -> None:
    with place.connect("postgres") as report:
        report.execute("begin isolation level repeatable read")
        report.execute("select from t")
        with idle(place, "begin", "insert into t values (1)") as writer:
            building = active(place, background, "create index concurrently added on t (id)")
            run = run_of(place, building.pid)
            said = stop(place, run, let_finish=let_finish)
            writer.execute("rollback")
        if let_finish:
            assert (ends(said), len(said.spared)) == ([], 1)
            assert said.spared[0].startswith("CREATE INDEX CONCURRENTLY of session")
            assert building.running
        else:
            assert ends(said) == [(building.pid, "cancelled", True)]
            assert said.leftovers == ("invalid index public.added: DROP INDEX CONCURRENTLY public.added;",)


def test_who_asks_or_waits_for_the_guard_is_not_at_work(place: Database, background: Start) -> None:
    name = "migration:x"
    waits = background(place.dsn("migrator", application_name=name), "call migration_guard.checkpoint('x', '30 s')")
    query = "select wait_event from pg_stat_activity where pid = %s"
    wait_for(lambda: place.execute(query, [waits.pid]) == [("PgSleep",)])
    assert ends(stop(place, run_of(place, waits.pid), terminate=True)) == []
    assert waits.running


@pytest.mark.parametrize("why", ["fenced", "renamed", "pooled"])
def test_a_session_in_a_fence_or_of_another_name_or_behind_a_pooler_is_not_touched(
    place: Database, background: Start, why: str
) -> None:
    at_work = active(place, background, "select pg_sleep(60)")
    run = run_of(place, at_work.pid, pooled=why == "pooled")
    if why == "fenced":
        place.execute(
            "insert into migration_guard.run (run_id, migration, pid, backend_start, usename, application_name, "
            "on_guard_lost, pooled, exclusive, protocol) overriding system value select 7, 'x', pid, backend_start, "
            "usename, application_name, 'wait', false, true, 1 from pg_stat_activity where pid = %s",
            [at_work.pid],
        )
        place.execute("insert into migration_guard.fence values (7, 'cut-over', now(), now() + interval '1 min')")
    elif why == "renamed":
        assert run.session is not None
        run = dataclasses.replace(run, session=dataclasses.replace(run.session, application_name="web"))
    report = stop(place, run)
    assert ends(report) == ([(at_work.pid, "refused", False)] if why == "renamed" else [])
    assert at_work.running
    assert ("pooler" in report.nothing_because) is (why == "pooled")
