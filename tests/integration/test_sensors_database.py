"""WAL, archive, vacuum, checkpoints, the database's counters: on a real server, where something known is the case."""

import asyncio
import contextlib
import time
from collections.abc import Callable

import psycopg
import pytest

from guard.act.install import install
from guard.demo.embedded import Server
from guard.model import Reading, Sample, Silence
from guard.model.sensors import METRICS
from guard.poll.database import DatabaseProbe
from guard.poll.samples import Recognition
from guard.postgres import Door
from tests.fix_postgres import Database, MakeCluster, MakeRole
from tests.fix_sessions import Background
from tests.shipped import as_guard

pytestmark = pytest.mark.integration
FAMILIES = ("database.", "wal.", "vacuum.", "checkpoints.")
VACUUMED = "vacuum.on_migration_table"
"""Alone among them it needs the schema of the guard, and pg_monitor."""
ALL = sorted({name for name in METRICS if name.startswith(FAMILIES)} - {"database.primaries", VACUUMED})
Values = dict[str, Sample]


def probe_of(dsn: str, *metrics: str) -> DatabaseProbe:
    known = Recognition(application_names=("migration:*",))
    return DatabaseProbe(Door(as_guard(dsn), purpose="database"), metrics or ALL, recognition=known)


async def look(probe: DatabaseProbe) -> Values:
    return {sample.sensor: sample for sample in (await probe.poll()).samples}


def value(found: Values, metric: str) -> float:
    sample = found[metric]
    assert isinstance(sample, Reading), sample
    return sample.value


async def until(probe: DatabaseProbe, condition: Callable[[Values], bool], within: float = 10.0) -> Values:
    end = time.monotonic() + within
    while not condition(found := await look(probe)):
        assert time.monotonic() < end, f"not within {within} s, at last {found}"
        await asyncio.sleep(0.1)
    return found


def test_the_first_look_has_no_rates_and_the_second_has_all(database: Database) -> None:
    async def main() -> None:
        probe = probe_of(database.dsn())
        first = await look(probe)
        assert sorted(first) == ALL
        silent = {name for name, sample in first.items() if isinstance(sample, Silence)}
        assert silent == {*ALL} - {"vacuum.wraparound_age"}
        await asyncio.sleep(0.1)
        second = await until(probe, lambda found: isinstance(found["database.rollback_ratio"], Reading))
        silent = {name for name, sample in second.items() if isinstance(sample, Silence)}
        assert silent == {"wal.archive_backlog", "database.read_latency", "wal.sync_latency"}
        assert "track_wal_io_timing is off" in getattr(second["wal.sync_latency"], "why", "")
        assert "archive_mode is off" in getattr(second["wal.archive_backlog"], "why", "")
        assert "track_io_timing is off" in getattr(second["database.read_latency"], "why", "")
        await probe.close()

    asyncio.run(main())


def test_only_what_is_asked_for_is_told(database: Database) -> None:
    async def main() -> None:
        probe = probe_of(database.dsn(), "vacuum.wraparound_age")
        assert list(await look(probe)) == ["vacuum.wraparound_age"]
        await probe.close()

    asyncio.run(main())


def test_wal_temporary_files_and_rollbacks_are_those_of_the_last_seconds(database: Database) -> None:
    async def main() -> None:
        probe = probe_of(database.dsn())
        began = time.monotonic()
        await look(probe)
        database.execute("create table t as select repeat('x', 1000) as x from generate_series(1, 4000)")
        found = await look(probe)
        assert value(found, "wal.bytes_per_second") * (time.monotonic() - began) > 3_000_000
        with database.connect() as session:
            session.execute("set work_mem = '64kB'")
            session.execute("select count(*) from (select n from generate_series(1, 200000) n order by -n) s")
            for _ in range(20):
                with contextlib.suppress(psycopg.Error):
                    session.execute("select 1 / 0")
        found = await until(probe, lambda found: value(found, "database.temp_bytes_per_second") > 10_000)
        found = await until(probe, lambda found: value(found, "database.rollback_ratio") > 0)
        assert value(found, "database.rollback_ratio") < 1
        detail = getattr(found["database.rollback_ratio"], "detail", "")
        assert detail.startswith("20 of ")
        await probe.close()

    asyncio.run(main())


def test_reads_that_shared_buffers_did_not_have_are_counted_and_timed(database: Database) -> None:
    database.execute(f"alter database {database.name} set track_io_timing = on".encode())

    async def main() -> None:
        probe = probe_of(database.dsn(), "database.read_bytes_per_second", "database.read_latency")
        with database.connect() as session:
            session.execute("set temp_buffers = 100")  # of 8 kB; the table is ten times that
            session.execute("create temp table t as select repeat('x', 1000) as x from generate_series(1, 8000)")
            began = time.monotonic()
            await look(probe)
            session.execute("select count(*) from t")
            session.execute("select pg_stat_force_next_flush()")  # a session tells of it once a second
            found = await until(probe, lambda found: isinstance(found["database.read_latency"], Reading))
        assert value(found, "database.read_bytes_per_second") * (time.monotonic() - began) > 7_000_000
        assert 0 < value(found, "database.read_latency") < 1
        await probe.close()

    asyncio.run(main())


def test_deadlocks_are_counted_by_the_minute(database: Database, background: Callable[[str, str], Background]) -> None:
    database.execute("create table t (n int primary key)")
    database.execute("insert into t values (1), (2)")

    async def main() -> None:
        probe = probe_of(database.dsn(), "database.deadlocks_per_minute")
        await look(probe)
        with database.connect() as one:
            one.execute("begin")
            one.execute("update t set n = n where n = 1")
            statement = "do $$ begin update t set n = n where n = 2; update t set n = n where n = 1; end $$"
            other = background(database.dsn(), statement)
            other.wait_blocked(one)
            with contextlib.suppress(psycopg.errors.DeadlockDetected):
                one.execute("update t set n = n where n = 2")
            one.execute("rollback")
            other.wait()
        found = await until(probe, lambda found: value(found, "database.deadlocks_per_minute") > 0)
        assert value(found, "database.deadlocks_per_minute") == 1
        await probe.close()

    asyncio.run(main())


def test_counters_that_were_reset_cost_one_interval_and_are_never_negative(database: Database) -> None:
    async def main() -> None:
        probe = probe_of(database.dsn(), "database.rollback_ratio")
        await look(probe)
        await until(probe, lambda found: isinstance(found["database.rollback_ratio"], Reading))
        database.execute("select pg_stat_reset()")
        found = await look(probe)
        sample = found["database.rollback_ratio"]
        assert isinstance(sample, Silence)
        assert "reset" in sample.why
        await until(probe, lambda found: isinstance(found["database.rollback_ratio"], Reading))
        await probe.close()

    asyncio.run(main())


def test_a_vacuum_of_the_migrations_table_is_timed_from_its_beginning_to_its_end(
    database: Database, background: Callable[[str, str], Background]
) -> None:
    install(database.dsn())
    for table in (b"mine", b"other"):
        database.execute(b"create table %s as select repeat('x', 1000) as x from generate_series(1, 4000)" % table)

    async def main() -> None:
        probe = probe_of(database.dsn(), VACUUMED)
        with database.connect(application_name="migration:x") as migration:
            migration.execute("begin")
            migration.execute("select count(*) from other")
            migration.execute("update mine set x = '' where ctid = '(0,1)'")
            # At 50 ms a page it lasts until it is cancelled.
            slowly = "options=-cvacuum_cost_delay=50ms\\ -cvacuum_cost_limit=1"
            jobs = [background(f"{database.dsn()} {slowly}", f"vacuum {table}") for table in ("mine", "other")]
            found = await until(probe, lambda found: value(found, VACUUMED) > 0.2)
            detail = getattr(found[VACUUMED], "detail", "")
            assert detail == f"VACUUM of public.mine by pid {jobs[0].pid} (postgres, no application_name)"
            migration.execute("rollback")
        before = value(await look(probe), VACUUMED)
        await until(probe, lambda found: value(found, VACUUMED) > before)
        fresh = probe_of(database.dsn(), VACUUMED)  # nobody holds the table now, and it was not there before
        assert value(await look(fresh), VACUUMED) == 0
        await fresh.close()
        jobs[0].close()
        await until(probe, lambda found: value(found, VACUUMED) == 0)
        assert jobs[1].running
        await probe.close()

    asyncio.run(main())


def test_requested_checkpoints_synced_wal_and_an_archive_that_falls_behind(make_cluster: MakeCluster) -> None:
    settings = {"archive_mode": "on", "archive_command": "true", "fsync": "on", "track_wal_io_timing": "on"}
    server = make_cluster(0, settings=settings).primary

    async def main() -> None:
        probe = probe_of(server.dsn(), "checkpoints.requested_per_minute", "wal.archive_backlog", "wal.sync_latency")
        await look(probe)
        with server.connect() as writer:
            writer.execute("select pg_logical_emit_message(true, 'x', 'x')")  # a commit that waits for its WAL
            writer.execute("select pg_stat_force_next_flush()")
            found = await until(probe, lambda found: isinstance(found["wal.sync_latency"], Reading))
        assert 0 < value(found, "wal.sync_latency") < 2
        assert " syncs in " in getattr(found["wal.sync_latency"], "detail", "")
        server.execute("checkpoint")
        server.execute("checkpoint")
        await until(probe, lambda found: value(found, "checkpoints.requested_per_minute") == 2)
        server.execute("select pg_logical_emit_message(true, 'x', 'x')")
        server.execute("select pg_switch_wal()")
        await until(probe, lambda found: getattr(found["wal.archive_backlog"], "value", -1) == 0)
        server.execute("alter system set archive_command = 'false'")
        server.execute("select pg_reload_conf()")
        for _ in range(3):
            server.execute("select pg_logical_emit_message(true, 'x', 'x')")
            server.execute("select pg_switch_wal()")
        found = await until(probe, lambda found: value(found, "wal.archive_backlog") >= 2)
        assert value(found, "wal.archive_backlog") <= 3
        await until(probe, lambda found: "the last try has failed" in found["wal.archive_backlog"].detail)  # type: ignore[union-attr]
        server.execute("alter system set wal_sync_method = 'open_datasync'")
        server.execute("select pg_reload_conf()")
        found = await until(probe, lambda found: "wal_sync_method" in getattr(found["wal.sync_latency"], "why", ""))
        assert not getattr(found["wal.sync_latency"], "abstains", True)
        await probe.close()

    asyncio.run(main())


def test_the_age_of_the_oldest_transaction_id_grows_and_names_its_database(database: Database) -> None:
    async def main() -> None:
        probe = probe_of(database.dsn(), "vacuum.wraparound_age")
        before = await look(probe)
        for _ in range(5):
            database.execute("select pg_current_xact_id()")
        after = await look(probe)
        assert value(after, "vacuum.wraparound_age") >= value(before, "vacuum.wraparound_age") + 5
        assert "the oldest: database " in getattr(after["vacuum.wraparound_age"], "detail", "")
        await probe.close()

    asyncio.run(main())


@pytest.mark.fault(23)
def test_none_of_it_needs_pg_monitor_but_what_looks_at_sessions(database: Database, make_role: MakeRole) -> None:
    make_role("blind", "in role migration_guard_guard")
    install(database.dsn())

    async def main() -> None:
        probe = probe_of(database.dsn("blind"), *ALL, VACUUMED)
        await look(probe)
        found = await until(probe, lambda found: isinstance(found["database.rollback_ratio"], Reading))
        blind = found[VACUUMED]
        assert isinstance(blind, Silence)
        assert "pg_monitor" in blind.why
        await probe.close()

    asyncio.run(main())


def test_a_standby_and_a_server_that_is_not_there_are_silent(standby: Server) -> None:
    async def main() -> None:
        for dsn in (standby.dsn(), "host=127.0.0.1 port=1 user=nobody dbname=none"):
            probe = probe_of(dsn)
            found = await look(probe)
            assert sorted(found) == ALL
            assert all(isinstance(sample, Silence) for sample in found.values())
            await probe.close()

    asyncio.run(main())
