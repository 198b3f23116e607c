"""`check` looks at what the rules name, by the guard's own role, and says which will have no value, and why."""

import asyncio
import dataclasses

import pytest

from guard.act.install import install
from guard.check.remarks import Grade, Remark
from guard.check.sensors import check_sensors
from guard.model import NoData, Rule
from guard.model.metric import labelled
from guard.poll.samples import Recognition
from guard.postgres import Hosts
from tests.fakes import make_rule
from tests.fix_postgres import Database
from tests.shipped import as_guard

pytestmark = pytest.mark.integration


def rule(metric: str, no_data: NoData = NoData.PAUSE, **select: str) -> Rule:
    labels = tuple(sorted(select.items()))
    base = make_rule(metric, pause="> 5s")
    return dataclasses.replace(
        base, metric=metric, sensor=labelled(metric, labels), select=labels, no_data=no_data, query=""
    )


def check(database: Database, *rules: Rule) -> list[Remark]:
    async def main() -> list[Remark]:
        hosts = Hosts(as_guard(database.dsn()))
        try:
            return await check_sensors(rules, hosts, Recognition())
        finally:
            await hosts.close()

    return asyncio.run(main())


def test_what_has_no_value_is_named_with_its_reason_and_what_follows(database: Database) -> None:
    install(database.dsn())
    reads, archive, latency = check(
        database,
        rule("database.read_latency"),
        rule("wal.archive_backlog", NoData.IGNORE),
        rule("statements.mean_latency", queryid="-7"),
        # These have one, rates too; the last is asked for in another way.
        rule("wal.bytes_per_second"),
        rule("activity.waiting", wait_event_type="IO"),
        rule("vacuum.on_migration_table"),
        dataclasses.replace(rule("sql"), query="select 'no number'"),
        rule("locks.longest_wait"),
    )
    assert {reads.grade, archive.grade, latency.grade} == {Grade.WARNING}
    assert reads.place == 'rule "database.read_latency"'
    assert reads.what == "database.read_latency has no value: track_io_timing is off, so no read is timed"
    assert reads.todo.endswith("while there is no value, a migration will pause")
    assert "archive_mode is off" in archive.what
    assert archive.todo.endswith("it is ignored")
    assert latency.what.startswith("statements.mean_latency{queryid=-7} has no value: ")
    assert "pg_stat_statements" in latency.what


def test_what_only_has_nothing_to_measure_is_well(database: Database) -> None:
    install(database.dsn())
    database.execute(f"alter database {database.name} set track_io_timing = on".encode())
    assert check(database, rule("database.read_latency"), rule("database.rollback_ratio")) == []
    assert check(database) == []
