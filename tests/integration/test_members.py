"""Sessions of a run beside its registered one, on a real server: how they are known, cancelled, and ended with it."""

import asyncio
import dataclasses
from collections.abc import Callable

import psycopg
import pytest

from guard.act.cancel import QueueCanceller
from guard.act.install import install
from guard.model import Dimension, Roster, Rule, Run
from guard.poll.roster import RosterProbe
from guard.poll.samples import Recognition
from guard.postgres import Door
from tests.fakes import make_rule
from tests.fix_postgres import Database, MakeRole, Row
from tests.fix_sessions import Background
from tests.shipped import as_guard
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

NAMED = "migration:add index"
QUEUE = dataclasses.replace(
    make_rule("queue", pause="", cancel=">= 1"),
    metric="locks.queued_behind_migration",
    dimension=Dimension.COUNT,
    waited=0.1,
)
Start = Callable[[str, str], Background]


@pytest.fixture
def place(database: Database, make_role: MakeRole) -> Database:
    """A table of the role that migrates."""
    install(database.dsn())
    for name in ("migrator", "other"):
        make_role(name, "in role migration_guard_client")
        database.execute(f"grant create on schema public to {name}".encode())
    database.execute("create table t (id int primary key); alter table t owner to migrator")
    return database


def registered(place: Database, name: str = "add index", **options: str) -> psycopg.Connection[Row]:
    connection = place.connect("migrator", application_name="migration-guard exec")
    more = "".join(f", {key} => {value}" for key, value in options.items())
    connection.execute(f"select migration_guard.register('{name}'{more})".encode())
    return connection


def look(place: Database) -> Roster:
    """Who is here, as the guard sees it."""

    async def ask() -> Roster:
        probe = RosterProbe(Door(as_guard(place.dsn()), purpose="roster"), Recognition(("migrator",)))
        observation = await probe.poll()
        await probe.close()
        assert observation.roster is not None, observation.samples
        return observation.roster

    return asyncio.run(ask())


def canceller(place: Database) -> QueueCanceller:
    return QueueCanceller(Door(as_guard(place.dsn()), purpose="cancel"), roles=("migrator",))


def members(place: Database) -> dict[str, list[int]]:
    return {run.migration: [session.pid for session in run.members] for run in look(place).runs}


def test_sessions_of_the_same_role_that_bear_the_name_of_a_run_are_its_members_and_no_strangers(
    place: Database,
) -> None:
    with (
        registered(place),
        registered(place, "behind a pooler", pooled="true"),
        place.connect("migrator", application_name=NAMED) as ours,
        place.connect("migrator", application_name=f"{NAMED} too") as longer,
        place.connect("migrator", application_name="migration:behind a pooler") as pooled,
        place.connect("other", application_name=NAMED) as foreign,
    ):
        for session in (ours, longer, pooled, foreign):
            session.execute("begin")
            session.execute("create temp table own ()")
        roster = look(place)
        assert members(place) == {"add index": [ours.info.backend_pid], "behind a pooler": []}
        assert [s.pid for s in roster.strangers] == [longer.info.backend_pid, pooled.info.backend_pid]
        (seen,) = roster.runs[0].members
        assert (seen.run_id, seen.usename, seen.application_name) == (roster.runs[0].run_id, "migrator", NAMED)


def test_a_name_that_the_server_has_cut_is_known_and_a_registered_session_is_nobodys_member(place: Database) -> None:
    long = "x" * 80
    with registered(place, long), place.connect("migrator", application_name=f"migration:{long}") as cut:
        assert members(place) == {long: [cut.info.backend_pid]}
        cut.execute("select migration_guard.register('of its own')")
        assert members(place) == {long: [], "of its own": []}


def test_a_name_that_the_server_writes_in_its_own_way_is_known_by_the_session_that_registered(place: Database) -> None:
    with (
        place.connect("migrator", application_name="migration:größe") as own,
        place.connect("migrator", application_name="migration:größe") as ours,
        place.connect("migrator", application_name="migration:add index") as other,
    ):
        own.execute("select migration_guard.register('größe')")
        for statement in ("begin", "create temp table own ()"):
            other.execute(statement.encode())
        roster = look(place)
        assert members(place) == {"größe": [ours.info.backend_pid]}
        assert [session.pid for session in roster.strangers] == [other.info.backend_pid]


def test_members_of_a_run_whose_session_has_gone_are_strangers_again(place: Database) -> None:
    with place.connect("migrator", application_name=NAMED) as ours:
        with registered(place):
            assert members(place) == {"add index": [ours.info.backend_pid]}
        wait_for(lambda: look(place).runs[0].session is None)
        ours.execute("create table made ()")
        assert members(place) == {"add index": []}
        wait_for(lambda: [s.pid for s in look(place).strangers] == [ours.info.backend_pid])


@pytest.mark.parametrize("concerned", [True, False])
def test_a_member_that_holds_up_a_queue_is_cancelled_as_its_runs_and_only_by_a_rule_for_that(
    place: Database, background: Start, concerned: bool
) -> None:
    with registered(place), place.connect("postgres") as holder, place.connect("postgres") as eye:
        holder.execute("begin")
        holder.execute("select from t")
        alter = background(place.dsn("migrator", application_name=NAMED), "alter table t add column v int")
        alter.wait_blocked(eye)
        reader = background(place.dsn("postgres"), "select from t")
        reader.wait_blocked(eye)
        rule: Rule = dataclasses.replace(QUEUE, migrations=("add index" if concerned else "another",))
        roster = look(place)

        async def clear() -> list[tuple[int, int | None]]:
            hands = canceller(place)
            report = await hands.clear_queue(rule, roster, terminate=False)
            await hands.close()
            return [(ended.session.pid, ended.session.run_id) for ended in report.ended]

        waited = "select count(*) from pg_locks where clock_timestamp() - waitstart > '0.2 s'"
        wait_for(lambda: place.execute(waited.encode()) == [(2,)])
        assert asyncio.run(clear()) == ([(alter.pid, roster.runs[0].run_id)] if concerned else [])
        assert alter.running is not concerned


def test_to_end_a_run_is_to_end_its_members_too_and_nobody_else(place: Database, background: Start) -> None:
    with registered(place) as own:
        at_work = background(place.dsn("migrator", application_name=NAMED), "select pg_sleep(60)")
        stranger = background(place.dsn("migrator", application_name="migration:other"), "select pg_sleep(60)")
        wait_for(lambda: members(place) == {"add index": [at_work.pid]})
        (run,) = look(place).runs

        async def end(run: Run) -> list[tuple[int, bool]]:
            hands = canceller(place)
            report = await hands.end_run(run, terminate=True)
            await hands.close()
            return sorted((ended.session.pid, ended.gone) for ended in report.ended)

        assert asyncio.run(end(run)) == sorted([(own.info.backend_pid, True), (at_work.pid, True)])
        at_work.wait()
        assert stranger.running


def test_what_a_session_does_is_seen_as_far_as_a_pause_must_know_it(place: Database, background: Start) -> None:
    with registered(place) as own, place.connect("migrator", application_name=NAMED) as member:
        (run,) = look(place).runs
        assert run.session is not None
        assert (run.session.state, run.session.asks, run.session.at_work) == ("idle", True, 0.0)
        member.execute("begin isolation level repeatable read")
        member.execute("insert into t values (1)")
        wait_for(lambda: look(place).runs[0].members[0].in_state > 1)
        (session,) = look(place).runs[0].members
        assert (session.state, session.writes, session.asks, session.gentle) == (
            "idle in transaction", True, False, "",
        )  # fmt: skip
        assert session.holds.startswith("changes and a snapshot and locks on public.t")
        assert session.at_work >= session.in_state > 1
        member.execute("rollback")
        member.execute("begin")
        wait_for(lambda: look(place).runs[0].members[0].in_state > 1)
        assert look(place).runs[0].members[0].holds == ""
        with place.connect("postgres") as holder, place.connect("postgres") as eye:
            holder.execute("begin")
            holder.execute("lock table t in share mode")
            index = "/* tool */ create index concurrently i on t (id)"
            building = background(place.dsn("migrator", application_name=NAMED), index)
            building.wait_blocked(eye)
            of_index = next(s for s in look(place).runs[0].members if s.pid == building.pid)
            assert (of_index.state, of_index.gentle) == ("active", "CREATE INDEX CONCURRENTLY")
        waiting = background(place.dsn("migrator", application_name=NAMED), "select pg_sleep(30)")
        wait_for(lambda: any(s.sleeps for s in look(place).runs[0].members))
        assert waiting.running
        assert own.closed is False
