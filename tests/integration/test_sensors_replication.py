"""Standbys that stream, commits that wait for one, slots: told only where a rule uses it, from the lags' own query."""

import asyncio
import time
from collections.abc import Callable

import pytest

from guard.model import Reading, Sample, Silence
from guard.poll.replication import FURTHER, ReplicationProbe
from guard.postgres import Door
from tests.fix_postgres import MakeCluster
from tests.fix_sessions import Background
from tests.shipped import as_guard

pytestmark = pytest.mark.integration
LAGS = ["replication.lag", "replication.lag_bytes", "replication.retained_bytes"]
Values = dict[str, Sample]


def value(found: Values, metric: str) -> float:
    return getattr(found[f"replication.{metric}"], "value", -1.0)


def test_what_rules_use_is_told_and_nothing_else(
    make_cluster: MakeCluster, background: Callable[[str, str], Background]
) -> None:
    cluster = make_cluster(1, slots=True, settings={"max_slot_wal_keep_size": "1GB"})
    cluster.wait_streaming()
    primary = cluster.primary
    dsn = as_guard(primary.dsn())
    ((version,),) = primary.execute("select current_setting('server_version_num')::int")

    async def main() -> None:
        async def until(condition: Callable[[Values], bool]) -> Values:
            end = time.monotonic() + 10
            while True:
                found = {sample.sensor: sample for sample in (await probe.poll()).samples}
                if condition(found):
                    return found
                assert time.monotonic() < end, found
                await asyncio.sleep(0.1)

        plain = ReplicationProbe(Door(dsn, purpose="replication"), ("replica1",))
        assert [sample.sensor for sample in (await plain.poll()).samples] == LAGS
        await plain.close()
        probe = ReplicationProbe(Door(dsn, purpose="replication"), ("replica1",), metrics=FURTHER)
        found = await until(lambda found: value(found, "standbys") == 1)
        assert sorted(found) == sorted([*LAGS, *FURTHER])
        assert getattr(found["replication.standbys"], "detail", "") == "replica1"
        assert value(found, "sync_waiters") == value(found, "slot_inactive_for") == 0
        assert 0 < value(found, "safe_wal_size") < 2 << 30
        primary.execute("alter system set synchronous_standby_names = 'nobody'")
        primary.execute("select pg_reload_conf()")
        waiting = background(primary.dsn(), "create table t ()")
        await until(lambda found: value(found, "sync_waiters") == 1)
        primary.execute("alter system reset synchronous_standby_names")
        primary.execute("select pg_reload_conf()")
        waiting.wait()
        await until(lambda found: value(found, "sync_waiters") == 0)
        cluster.standby.stop()
        found = await until(lambda found: value(found, "standbys") == 0)
        found = await until(lambda found: value(found, "slot_inactive_for") > 0.2)  # told, or seen to have become so
        late = ReplicationProbe(Door(dsn, purpose="replication"), ("replica1",), metrics=FURTHER)
        sample = {each.sensor: each for each in (await late.poll()).samples}["replication.slot_inactive_for"]
        assert isinstance(sample, Silence if version < 170000 else Reading)
        await late.close()
        await probe.close()

    asyncio.run(main())
