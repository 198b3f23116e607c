"""The lag of real standbys: stopped, frozen, killed, missing, invisible. Silence is never a zero."""

import asyncio
import time
from collections.abc import Callable

import pytest

from guard.demo.embedded import Server
from guard.model import Reading, Sample, Silence
from guard.poll.replication import ReplicationProbe
from guard.postgres import Door
from tests.fix_postgres import Database, MakeCluster, MakeRole
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


def test_an_idle_standby_that_has_caught_up_reads_zero(standby: Server, primary: Server) -> None:
    async def main() -> None:
        probe = probe_of(primary.dsn())
        seconds, in_bytes = await until(probe, lambda pair: isinstance(pair[1], Reading) and pair[1].value == 0)
        assert isinstance(seconds, Reading)
        assert seconds.value == 0
        assert seconds.detail == in_bytes.detail == "slowest standby: replica1"  # type: ignore[union-attr]
        await probe.close()

    asyncio.run(main())


def test_a_busy_standby_that_keeps_up_reads_next_to_nothing(standby: Server, primary: Server) -> None:
    async def main() -> None:
        probe = probe_of(primary.dsn())
        await until(probe, healthy, primary)
        for _ in range(20):
            primary.execute("select pg_logical_emit_message(true, 'load', repeat('x', 100000))")
            seconds, _ = await look(probe)
            assert isinstance(seconds, Reading), seconds
            assert seconds.value < 1.0
        await probe.close()

    asyncio.run(main())


@pytest.mark.fault(39)
def test_stopped_replay_reads_its_true_age_and_zero_again_once_caught_up(standby: Server, primary: Server) -> None:
    async def main() -> None:
        probe = probe_of(primary.dsn())
        await until(probe, healthy, primary)
        standby.pause_replay()
        began = time.monotonic()
        seconds, in_bytes = await until(
            probe, lambda pair: isinstance(pair[0], Reading) and pair[0].value > 2.0, primary
        )
        stopped_for = time.monotonic() - began
        assert isinstance(seconds, Reading)
        assert isinstance(in_bytes, Reading)
        assert seconds.value <= stopped_for + 1.0
        assert stopped_for < 4.0
        assert in_bytes.value > 0
        standby.resume_replay()
        await until(probe, healthy, primary)
        await probe.close()

    asyncio.run(main())


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
def test_a_frozen_walreceiver_is_silence_long_before_the_primary_drops_it(standby: Server, primary: Server) -> None:
    async def main() -> None:
        probe = probe_of(primary.dsn())
        await until(probe, healthy, primary)
        with standby.frozen(standby.walreceiver_pid()):
            began = time.monotonic()
            seconds, _ = await until(probe, silent, primary)
            assert time.monotonic() - began < 3.0
            assert isinstance(seconds, Silence)
            assert "replica1 has not replied for" in seconds.why
            rows = primary.execute("select state from pg_stat_replication where application_name = 'replica1'")
            assert rows == [("streaming",)]  # the primary still thinks all is well
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


async def look_at_slots(probe: ReplicationProbe) -> Sample:
    return (await probe.poll()).samples[2]


@pytest.mark.fault(43)
def test_a_slot_whose_standby_has_gone_keeps_more_and_more_until_it_is_lost_which_is_no_zero(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(slots=True, settings={"max_slot_wal_keep_size": "40MB", "wal_keep_size": "0"})
    primary = cluster.primary

    def write(number: int) -> None:
        for _ in range(number):
            primary.execute("select pg_switch_wal() from pg_logical_emit_message(true, 'load', 'x')")

    async def main() -> None:
        probe, nobody = probe_of(primary.dsn()), probe_of(primary.dsn(), ())
        cluster.wait_replayed()
        before = await look_at_slots(probe)
        assert isinstance(before, Reading)
        assert before.value < 2**24
        cluster.standby.stop()
        write(2)
        for each in (probe, nobody):
            kept = await look_at_slots(each)
            assert isinstance(kept, Reading)
            assert 2**24 < kept.value < 3 * 2**24
            assert kept.detail == "the most: slot replica1, inactive, wal_status reserved"
        # One that was never used keeps nothing.
        primary.execute("select pg_create_physical_replication_slot('unused')")
        assert "slot replica1" in getattr(await look_at_slots(probe), "detail", "")
        write(5)
        primary.execute("checkpoint")
        lost = await look_at_slots(probe)
        assert isinstance(lost, Silence)
        assert "slot replica1 has lost WAL" in lost.why
        primary.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active")
        none = await look_at_slots(nobody)
        assert (getattr(none, "value", None), getattr(none, "detail", "")) == (0.0, "no slot keeps any WAL")
        for each in (probe, nobody):
            await each.close()

    asyncio.run(main())


def test_a_standby_is_not_asked_about_standbys(standby: Server) -> None:
    async def main() -> None:
        probe = probe_of(standby.dsn())
        seconds, _ = await look(probe)
        assert isinstance(seconds, Silence)
        assert "connected to a standby" in seconds.why
        await probe.close()

    asyncio.run(main())


@pytest.mark.fault(23)
def test_pg_monitor_revoked_in_the_middle_is_silence_and_not_zero(
    standby: Server, primary: Server, make_role: MakeRole, database: Database
) -> None:
    make_role("lag_guard")
    primary.execute("grant pg_monitor to lag_guard")

    async def main() -> None:
        probe = probe_of(database.dsn("lag_guard"))
        await until(probe, healthy, primary)
        primary.execute("revoke pg_monitor from lag_guard")
        seconds, _ = await until(probe, silent, primary)
        assert isinstance(seconds, Silence)
        assert "lacks pg_monitor" in seconds.why
        primary.execute("grant pg_monitor to lag_guard")
        await until(probe, healthy, primary)
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


def test_an_unreachable_server_is_silence_for_both(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(standbys=0)
    probe = probe_of(cluster.primary.dsn())
    cluster.primary.stop()

    async def main() -> None:
        pair = await look(probe)
        assert silent(pair)
        assert pair == (probe.silence(pair[0].why, pair[0].taken_at)).samples[:2]  # type: ignore[union-attr]

    asyncio.run(main())
