"""The roster on a real server: runs with their sessions, strangers, what operators said; and the wake-up."""

import asyncio
import time

import pytest

from guard.act.install import install
from guard.model import Roster, Session, Silence
from guard.poll.listen import Listener
from guard.poll.roster import RosterProbe
from guard.poll.samples import Recognition
from guard.postgres import Door
from tests.fix_postgres import Database, MakeRole
from tests.shipped import as_guard

pytestmark = pytest.mark.integration

YOUNG = "select clock_timestamp() < backend_start + interval '1 s' from pg_stat_activity where pid = pg_backend_pid()"
MIGRATIONS = Recognition(application_names=("migration:*",))


@pytest.fixture
def installed(database: Database) -> Database:
    """A database with the contract."""
    install(database.dsn())
    return database


def probe_of(database: Database, user: str = "postgres", ended_within: float = 900.0) -> RosterProbe:
    return RosterProbe(Door(as_guard(database.dsn(user)), purpose="roster"), MIGRATIONS, ended_within=ended_within)


async def look(probe: RosterProbe) -> Roster:
    observation = await probe.poll()
    assert observation.roster is not None, observation.samples
    return observation.roster


async def strangers(probe: RosterProbe) -> tuple[Session, ...]:
    """Who is a stranger, once somebody is: a session that has just logged in may be about to register."""
    end = time.monotonic() + 5
    while not (found := (await look(probe)).strangers):
        assert time.monotonic() < end
        await asyncio.sleep(0.05)
    return found


def test_a_run_is_shown_with_its_session_and_what_it_said(installed: Database) -> None:
    async def main() -> None:
        probe = probe_of(installed)
        assert (await look(probe)).runs == ()
        with installed.connect(application_name="migration:x") as session:
            ((run_id,),) = session.execute("select migration_guard.register('add column')").fetchall()
            session.execute("select migration_guard.progress(%s, 700, 7, 'half way')", [run_id])
            session.execute("select migration_guard.acknowledge(%s, 3)", [run_id])
            roster = await look(probe)
            (run,) = roster.runs
            assert (run.run_id, run.migration, run.outcome, run.pooled) == (run_id, "add column", None, False)
            assert (run.rows_done, run.batches_done, run.note, run.acknowledged_epoch) == (700, 7, "half way", 3)
            assert run.session is not None
            assert (run.session.pid, run.session.run_id) == (session.info.backend_pid, run_id)
            assert (run.session.application_name, run.session.state) == ("migration:x", "idle")
            start = installed.execute(
                "select extract(epoch from backend_start)::float8 from pg_stat_activity where pid = %s",
                [run.session.pid],
            )
            assert start == [(run.session.backend_start_wall,)]
            assert abs(run.last_seen_wall - time.time()) < 10
            assert abs(roster.server_wall - time.time()) < 10
            assert roster.strangers == ()  # it is registered
        await probe.close()

    asyncio.run(main())


def test_a_run_whose_session_has_gone_is_shown_without_one(installed: Database) -> None:
    async def main() -> None:
        probe = probe_of(installed)
        with installed.connect() as session:
            session.execute("select migration_guard.register('x')")
        end = time.monotonic() + 5
        while True:
            (run,) = (await look(probe)).runs
            if run.session is None:
                break
            assert time.monotonic() < end
            await asyncio.sleep(0.02)
        assert run.outcome is None
        await probe.close()

    asyncio.run(main())


def test_a_session_that_has_taken_another_role_before_it_registered_is_not_gone(
    installed: Database, make_role: MakeRole
) -> None:
    # In the role of the owner it may not see its own start, which is that of a session of another role.
    make_role("object_owner", "in role migration_guard_client")
    make_role("roster_migrator", "in role migration_guard_client, object_owner")

    async def main() -> None:
        probe = probe_of(installed)
        with installed.connect("roster_migrator") as session:
            session.execute("set role object_owner")
            session.execute("select migration_guard.register('x')")
            (run,) = (await look(probe)).runs
            assert run.session is not None
            assert (run.session.pid, run.session.usename) == (session.info.backend_pid, "roster_migrator")
            start = installed.execute(
                "select extract(epoch from backend_start)::float8 from pg_stat_activity where pid = %s",
                [run.session.pid],
            )
            assert start == [(run.session.backend_start_wall,)]
            # It is known by name from whatever role it asks in.
            own = session.execute("select migration_guard.own_run('x')").fetchall()
            session.execute("reset role")
            assert session.execute("select migration_guard.own_run('x')").fetchall() == own == [(run.run_id,)]
        await probe.close()

    asyncio.run(main())


def test_a_successor_with_the_same_pid_is_not_the_runs_session(installed: Database) -> None:
    async def main() -> None:
        probe = probe_of(installed)
        with installed.connect(application_name="migration:x") as session:
            session.execute("select migration_guard.register('x')")
            installed.execute("update migration_guard.run set backend_start = backend_start - interval '1 s'")
            assert (await look(probe)).runs[0].session is None
            assert [stranger.pid for stranger in await strangers(probe)] == [session.info.backend_pid]
        await probe.close()

    asyncio.run(main())


def test_the_end_of_a_run_is_seen_once_however_late_one_looks(installed: Database) -> None:
    async def main() -> None:
        probe = probe_of(installed, ended_within=0.0)
        with installed.connect() as session:
            ((run_id,),) = session.execute("select migration_guard.register('x')").fetchall()
            assert [run.outcome for run in (await look(probe)).runs] == [None]
            session.execute("select migration_guard.finish(%s, 'failed', 'because')", [run_id])
        assert [run.outcome for run in (await look(probe)).runs] == ["failed"]
        assert (await look(probe)).runs == ()
        lasting = probe_of(installed)
        assert [run.outcome for run in (await look(lasting)).runs] == ["failed"]
        await probe.close()
        await lasting.close()

    asyncio.run(main())


def test_strangers_are_sessions_that_look_like_a_migrations_and_not_the_guards(installed: Database) -> None:
    async def main() -> None:
        probe = probe_of(installed)
        with (
            installed.connect(application_name="migration:x") as stranger,
            installed.connect(application_name="web"),
            installed.connect(application_name="migration_guard/t"),
        ):
            (found,) = await strangers(probe)
            assert (found.pid, found.usename, found.run_id) == (stranger.info.backend_pid, "postgres", None)
        await probe.close()

    asyncio.run(main())


def test_a_session_that_has_just_logged_in_is_a_stranger_at_once_only_where_it_changes_something(
    installed: Database,
) -> None:
    installed.execute("create table t ()")

    async def main() -> None:
        probe = probe_of(installed)
        young, found = False, (await look(probe)).strangers
        while not young:  # a busy machine may need another try
            with installed.connect(application_name="migration:x") as session:
                session.execute("begin")
                session.execute("select from t")
                session.execute("select migration_guard.register('x')")  # not committed, so nobody else sees it yet
                found = (await look(probe)).strangers
                ((young,),) = session.execute(YOUNG).fetchall()
                session.execute("rollback")
        assert found == ()
        with installed.connect(application_name="migration:x") as session:
            session.execute("begin")
            session.execute("alter table t add column v int")
            (altering,) = (await look(probe)).strangers
            assert altering.pid == session.info.backend_pid
            with installed.connect(application_name="migration:y") as waiting:
                waiting.execute("set lock_timeout = '20s'")
                blocked = asyncio.create_task(asyncio.to_thread(waiting.execute, "alter table t add column w int"))
                while waiting.info.backend_pid not in {each.pid for each in (await look(probe)).strangers}:
                    assert not blocked.done()
                session.execute("rollback")
                await blocked
        await probe.close()

    asyncio.run(main())


def test_a_session_whose_run_has_ended_is_a_stranger_only_when_it_begins_something_else(installed: Database) -> None:
    async def main() -> None:
        probe = probe_of(installed)
        with installed.connect(application_name="migration:x") as session:
            session.execute("select migration_guard.register('x')")
            session.execute("select migration_guard.finish('x')")
            assert (await look(probe)).strangers == ()
            session.execute("begin")
            (found,) = await strangers(probe)
            assert found.pid == session.info.backend_pid
        await probe.close()

    asyncio.run(main())


def test_orders_in_force_are_shown_and_others_not(installed: Database) -> None:
    installed.execute("select migration_guard.order_pause('x', 'ann', 'lunch')")
    installed.execute("select migration_guard.order_mute('*', 'lag', 'ann', 'known', now() + interval '1 h')")
    installed.execute("select migration_guard.order_abort('y', 'bob', 'wrong')")
    installed.execute("select migration_guard.withdraw('y', 'abort', 'bob')")
    installed.execute(
        "insert into migration_guard.operator_order (kind, migration, owner, created_at, expires_at)"
        " values ('pause', 'z', 'eve', now() - interval '2 h', now() - interval '1 h')"
    )
    installed.execute("insert into migration_guard.forgotten values ('x', 3, 'ann'), ('x', 5, 'ann'), ('w', 1, 'ann')")

    async def main() -> None:
        probe = probe_of(installed)
        roster = await look(probe)
        pause, mute = roster.operator_orders
        assert (pause.kind, pause.migration, pause.owner, pause.reason) == ("pause", "x", "ann", "lunch")
        assert (pause.expires_wall, pause.rule) == (None, None)
        assert (mute.kind, mute.migration, mute.rule) == ("mute", "*", "lag")
        assert mute.expires_wall is not None
        assert 3500 < mute.expires_wall - mute.created_wall <= 3601
        assert roster.forgotten == (("w", 1), ("x", 5))
        await probe.close()

    asyncio.run(main())


@pytest.mark.fault(23)
def test_without_pg_monitor_there_is_no_roster_rather_than_one_of_vanished_sessions(
    installed: Database, make_role: MakeRole
) -> None:
    make_role("roster_guard", "in role migration_guard_guard")
    installed.execute("grant pg_monitor to roster_guard")

    async def main() -> None:
        probe = probe_of(installed, "roster_guard")
        with installed.connect() as session:
            session.execute("select migration_guard.register('x')")
            assert (await look(probe)).runs[0].session is not None
            installed.execute("revoke pg_monitor from roster_guard")
            observation = await probe.poll()
            assert observation.roster is None
            (silence,) = observation.samples
            assert isinstance(silence, Silence)
            assert "lacks pg_monitor" in silence.why
        await probe.close()

    asyncio.run(main())


def test_an_absent_schema_is_no_roster(database: Database) -> None:
    async def main() -> None:
        probe = probe_of(database)
        observation = await probe.poll()
        assert observation.roster is None
        assert isinstance(observation.samples[0], Silence)
        await probe.close()

    asyncio.run(main())


def test_a_registration_wakes_at_once_also_after_the_connection_broke(installed: Database) -> None:
    async def main() -> None:
        heard: asyncio.Queue[str] = asyncio.Queue()
        door = Door(as_guard(installed.dsn()), purpose="listen")
        listener = Listener(door, heard.put_nowait, retry=0.05)
        task = asyncio.create_task(listener.run())
        assert await asyncio.wait_for(heard.get(), 5) == ""
        with installed.connect() as session:
            ((run_id,),) = session.execute("select migration_guard.register('x')").fetchall()
            assert await asyncio.wait_for(heard.get(), 2) == f"register {run_id}"
            installed.execute("select pg_terminate_backend(%s, 5000)", [door.backend_pid])
            assert await asyncio.wait_for(heard.get(), 10) == ""  # connected anew: look
            session.execute("select migration_guard.finish(%s)", [run_id])
            assert await asyncio.wait_for(heard.get(), 2) == f"finish {run_id}"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await listener.close()

    asyncio.run(main())
