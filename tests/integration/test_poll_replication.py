"""The lag of real standbys: killed, missing, beside another one, seen too late. A silence is never a zero.

Each state of one standby stands in the table of test_states_of_replication.py.
"""

import asyncio
import time
from collections.abc import Callable

import pytest

from guard.demo.embedded import Server
from guard.model import Reading, Sample, Silence
from guard.poll.replication import ReplicationProbe
from guard.postgres import Door
from tests.fix_postgres import MakeCluster
from tests.shipped import as_guard

pytestmark = pytest.mark.integration

Pair = tuple[Sample, Sample]


def probe_of(dsn: str, standbys: tuple[str, ...] | int = ("replica1",), reply_limit: float = 1.0) -> ReplicationProbe:
    return ReplicationProbe(Door(as_guard(dsn), purpose="replication"), standbys, reply_limit=reply_limit)


async def look(probe: ReplicationProbe) -> Pair:
    seconds, in_bytes, _ = (await probe.poll()).samples
    assert (seconds.sensor, in_bytes.sensor) == ("replication.lag", "replication.lag_bytes")
    return seconds, in_bytes


async def until(
    probe: ReplicationProbe, condition: Callable[[Pair], bool], primary: Server | None = None, within: float = 10.0
) -> Pair:
    """Poll until the samples are as wanted, with a beat before each poll where *primary* is given.

    A transactional message, since the commit of another is not flushed at once and so not sent either.
    """
    end = time.monotonic() + within
    while True:
        if primary is not None:
            primary.execute("select pg_logical_emit_message(true, 'beat', 'x')")
        pair = await look(probe)
        if condition(pair):
            return pair
        assert time.monotonic() < end, f"not within {within} s, at last {pair}"
        await asyncio.sleep(0.1)


def healthy(pair: Pair) -> bool:
    return all(isinstance(sample, Reading) and sample.value < 1.0 for sample in pair[:1])


def silent(pair: Pair) -> bool:
    return all(isinstance(sample, Silence) for sample in pair)


def test_a_guard_that_starts_beside_a_lagging_standby_does_not_take_the_part_it_saw_for_the_lag(
    standby: Server, primary: Server
) -> None:
    async def main() -> None:
        standby.pause_replay()
        primary.execute("select pg_logical_emit_message(true, 'load', repeat('x', 100000))")
        probe = probe_of(primary.dsn())
        seconds, _ = await until(probe, lambda pair: isinstance(pair[1], Reading) and pair[1].value > 100_000, primary)
        assert isinstance(seconds, Silence)
        assert "not seen for long enough" in seconds.why
        later, _ = await until(probe, lambda pair: (getattr(pair[0], "at_least", 0) or 0) > 1.0, primary)
        assert isinstance(later, Silence)
        standby.resume_replay()
        await until(probe, healthy, primary)
        await probe.close()

    asyncio.run(main())


@pytest.mark.fault(40)
def test_a_killed_standby_is_silence_and_the_other_ones_lag_is_kept(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(standbys=2)
    primary, (first, second) = cluster.primary, cluster.standbys

    async def main() -> None:
        probe, two, one = (probe_of(primary.dsn(), wanted) for wanted in (("replica1", "replica2"), 2, 1))
        for each in (probe, two, one):
            await until(each, healthy, primary)
        second.pause_replay()
        first.kill()
        seconds, _ = await until(
            probe, lambda pair: silent(pair) and (getattr(pair[0], "at_least", 0) or 0) > 1.0, primary
        )
        assert isinstance(seconds, Silence)
        assert seconds.why == "replica1 is not connected"
        counted, _ = await until(two, silent, primary)
        assert isinstance(counted, Silence)
        assert counted.why.startswith("1 of 2 expected standbys can be measured")
        assert isinstance((await until(one, lambda pair: isinstance(pair[0], Reading), primary))[0], Reading)
        first.start()
        second.resume_replay()
        await until(probe, healthy, primary, within=20.0)
        for each in (probe, two, one):
            await each.close()

    asyncio.run(main())


@pytest.mark.fault(40)
def test_a_standby_of_another_name_is_not_the_expected_one(standby: Server, primary: Server) -> None:
    async def main() -> None:
        probe = probe_of(primary.dsn(), ("replica9",))
        seconds, in_bytes = await look(probe)
        assert isinstance(seconds, Silence)
        assert isinstance(in_bytes, Silence)
        assert (seconds.why, seconds.at_least) == ("replica9 is not connected", None)
        await probe.close()

    asyncio.run(main())


def test_none_expected_on_purpose_reads_zero(primary: Server) -> None:
    async def main() -> None:
        probe = probe_of(primary.dsn(), ())
        seconds, _ = await look(probe)
        assert isinstance(seconds, Reading)
        assert (seconds.value, seconds.detail) == (0.0, "no standbys are expected, on purpose")
        unheard = probe.silence("no answer", 7.0).samples
        assert [getattr(sample, "value", None) for sample in unheard] == [0.0, 0.0, None]
        await probe.close()

    asyncio.run(main())


def test_a_standby_is_not_asked_about_standbys(standby: Server) -> None:
    async def main() -> None:
        probe = probe_of(standby.dsn())
        seconds, _ = await look(probe)
        assert isinstance(seconds, Silence)
        assert "connected to a standby" in seconds.why
        await probe.close()

    asyncio.run(main())


def test_a_probe_whose_server_process_hangs_is_silent_in_time_and_recovers(standby: Server, primary: Server) -> None:
    async def main() -> None:
        door = Door(primary.dsn(), purpose="replication", deadline=0.5)
        probe = ReplicationProbe(door, ("replica1",))
        await until(probe, healthy, primary)
        assert door.backend_pid is not None
        with primary.frozen(door.backend_pid):
            start = time.monotonic()
            pair = await look(probe)
            assert time.monotonic() - start < 0.5 + 0.6
            assert silent(pair)
            await until(probe, healthy, primary)
        await probe.close()

    asyncio.run(main())
