"""One standby or one slot by `select`: its own value beside the others', and a silence while it is not there."""

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest

from guard.demo.embedded import Server
from guard.model import Sample, Silence
from guard.poll.replication import ReplicationProbe
from guard.postgres import Door
from tests.shipped import as_guard

Values = dict[str, Sample]
pytestmark = pytest.mark.integration
SELECTED = [
    ("replication.lag", (("standby", "replica1"),)),
    ("replication.lag_bytes", (("standby", "replica1"),)),
    ("replication.write_lag_bytes", (("standby", "replica1"),)),
    ("replication.flush_lag_bytes", (("standby", "replica1"),)),
    ("replication.reply_age", (("standby", "replica1"),)),
    ("replication.lag", (("standby", "nobody"),)),
    ("replication.retained_bytes", (("slot", "kept"),)),
    ("replication.safe_wal_size", (("slot", "kept"),)),
    ("replication.slot_inactive_for", (("slot", "nobody"),)),
]


def value(found: Values, sensor: str) -> float:
    return getattr(found[f"replication.{sensor}"], "value", -1.0)


async def until(probe: ReplicationProbe, primary: Server, condition: Callable[[Values], bool]) -> Values:
    """Poll while WAL is written until the samples are as wanted."""
    end = time.monotonic() + 10
    while True:
        primary.execute("select pg_logical_emit_message(true, 'load', repeat('x', 20000))")
        found = {sample.sensor: sample for sample in (await probe.poll()).samples}
        if condition(found):
            return found
        assert time.monotonic() < end, found
        await asyncio.sleep(0.1)


@pytest.fixture
def slots(primary: Server) -> Iterator[None]:
    for name in ("kept", "other"):
        primary.execute("select pg_create_physical_replication_slot(%s, true)", [name])
    yield
    for name in ("kept", "other"):
        primary.execute("select pg_drop_replication_slot(%s)", [name])


@pytest.mark.usefixtures("slots")
def test_a_series_is_told_beside_the_metric_that_expects_none_of_it(primary: Server, standby: Server) -> None:
    async def main() -> None:
        probe = ReplicationProbe(Door(as_guard(primary.dsn()), purpose="replication"), (), selected=SELECTED)
        await until(probe, primary, lambda found: 0 <= value(found, "lag{standby=replica1}") < 1)
        standby.pause_replay()
        found = await until(probe, primary, lambda found: value(found, "lag{standby=replica1}") > 1)
        assert value(found, "lag_bytes{standby=replica1}") > 20_000
        assert (value(found, "lag"), value(found, "lag_bytes")) == (0, 0)
        # What is not replayed has arrived all the same: nothing of it would be lost.
        found = await until(probe, primary, lambda found: value(found, "flush_lag_bytes{standby=replica1}") == 0)
        assert value(found, "write_lag_bytes{standby=replica1}") == 0 < value(found, "lag_bytes{standby=replica1}")
        assert value(found, "reply_age{standby=replica1}") < 2
        assert value(found, "retained_bytes{slot=kept}") >= value(found, "lag_bytes{standby=replica1}")
        assert value(found, "safe_wal_size{slot=kept}") == float("inf")
        why = {sensor: sample.why for sensor, sample in found.items() if isinstance(sample, Silence)}
        assert why == {
            "replication.lag{standby=nobody}": "nobody is not connected",
            "replication.slot_inactive_for{slot=nobody}": "there is no slot nobody",
        }
        assert {sample.sensor for sample in probe.silence("no answer", 7.0).samples} == set(found)
        await probe.close()

    asyncio.run(main())


def test_the_age_of_a_reply_grows_where_the_lags_fall_silent(primary: Server, standby: Server) -> None:
    metrics = ("replication.reply_age", "replication.flush_lag_bytes")

    async def main() -> None:
        door = Door(as_guard(primary.dsn()), purpose="replication")
        probe = ReplicationProbe(door, ("replica1",), metrics=metrics, reply_limit=0.5)
        await until(probe, primary, lambda found: 0 <= value(found, "reply_age") < 1)
        with standby.frozen(standby.walreceiver_pid()):
            found = await until(probe, primary, lambda found: value(found, "reply_age") > 1)
            assert getattr(found["replication.reply_age"], "detail", "") == "longest without a reply: replica1"
            for silent in ("lag", "lag_bytes", "flush_lag_bytes"):
                assert "replica1 has not replied for" in getattr(found[f"replication.{silent}"], "why", ""), found
        await until(probe, primary, lambda found: 0 <= value(found, "reply_age") < 1)
        nobody = ReplicationProbe(door, (), metrics=metrics)
        told = {sample.sensor: sample for sample in (await nobody.poll()).samples}
        assert (value(told, "reply_age"), value(told, "flush_lag_bytes")) == (0, 0)
        assert [getattr(each, "value", -1.0) for each in nobody.silence("no answer", 7.0).samples] == [0, 0, 0, 0, -1]
        await door.close()

    asyncio.run(main())
