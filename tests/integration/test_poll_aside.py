"""Standbys that are asked themselves: one behind another, and what must not be taken for a standby of this primary."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from guard.check.standbys import check_standbys
from guard.demo.embedded import Cluster, Server
from guard.demo.proxy import Proxy
from guard.errors import WorldError
from guard.model import Reading, Sample, Silence
from guard.poll.aside import Aside, Said
from guard.poll.replication import ReplicationProbe
from guard.postgres import Door
from guard.settings import DatabaseSettings, GuardSettings, Secret, Settings
from tests.fakes import make_rule
from tests.fix_postgres import MakeCluster
from tests.shipped import as_guard
from tests.waiting import wait_for

pytestmark = pytest.mark.integration
EXPECTED = ("replica1", "replica2")
SELECTED = [("replication.lag", (("standby", "replica2"),))]
Values = dict[str, Sample]


class Cascade:
    """A primary, a standby, and one that gets its WAL from that standby, which the primary does not see."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.primary = cluster, cluster.primary
        self.first, self.second = cluster.standbys
        self.dsn = as_guard(self.primary.dsn())  # the role goes to the standbys by itself
        self.second.follow(self.first.port, self.primary)
        shown = "select application_name from pg_stat_replication"
        wait_for(lambda: self.primary.execute(shown) == [("replica1",)], message="the primary to lose replica2")
        wait_for(lambda: self.first.execute(shown) == [("replica2",)], message="replica1 to serve replica2")
        cluster.wait_replayed()

    def dsn_of(self, server: Server) -> str:
        return make_conninfo(self.dsn, port=server.port)

    def probe(self, **aside: str) -> ReplicationProbe:
        def door(dsn: str) -> Callable[[], Door]:
            return lambda: Door(dsn, purpose="standby", deadline=1.0)

        doors = {name: door(dsn) for name, dsn in aside.items()}
        metrics = {"replication.standbys", "replication.flush_lag_bytes"}
        primary = Door(self.dsn, purpose="replication")
        return ReplicationProbe(primary, EXPECTED, metrics=metrics, selected=SELECTED, aside=Aside(doors))

    async def until(self, probe: ReplicationProbe, condition: Callable[[Values], bool]) -> Values:
        """Poll while WAL is written, until the samples are as wanted."""
        end = time.monotonic() + 10
        while True:
            self.primary.execute("select pg_logical_emit_message(true, 'load', repeat('x', 20000))")
            found = {sample.sensor.removeprefix("replication."): sample for sample in (await probe.poll()).samples}
            if condition(found):
                return found
            assert time.monotonic() < end, found
            await asyncio.sleep(0.1)


@pytest.fixture
def cascade(make_cluster: MakeCluster) -> Cascade:
    return Cascade(make_cluster(2))


def why(found: Values, sensor: str = "lag") -> str:
    sample = found[sensor]
    return sample.why if isinstance(sample, Silence) else ""


def lag(found: Values, sensor: str = "lag") -> float:
    sample = found[sensor]
    return sample.value if isinstance(sample, Reading) else -1.0


def test_a_standby_of_a_standby_is_read_on_itself_and_what_is_none_is_named(
    cascade: Cascade, standby: Server, make_proxy: Callable[[int], Proxy]
) -> None:
    async def main() -> None:
        alone = cascade.probe()
        await cascade.until(alone, lambda found: why(found) == "replica2 is not connected")
        await alone.close()
        line = make_proxy(cascade.second.port)
        probe = cascade.probe(replica2=line.dsn(cascade.dsn_of(cascade.second)))
        await _lags_as_it_is(cascade, probe)
        await _hangs_and_is_not_waited_for(cascade, probe, line)
        await probe.close()
        await _cut_off_it_is_as_far_behind_as_it_is(cascade)
        foreign = cascade.probe(replica2=standby.dsn())
        await cascade.until(foreign, lambda found: "replica2 belongs to another cluster" in why(found))
        await foreign.close()
        nobody = make_conninfo(cascade.dsn, port=9)
        said = await checked(cascade, replica1=cascade.dsn_of(cascade.first), replica2=standby.dsn())
        assert "fine: standby replica1 answers (timeline 1, asked itself)" in said
        assert "problem: standby replica2 belongs to another cluster (system identifier" in said
        assert said.count("database main has no") == 2
        assert "problem: database main has no standby replica3 (there is: replica1, replica2)" in said
        assert "problem: database main has no slot late (there is: none)" in said
        said = await checked(cascade, replica1=cascade.dsn, replica2=nobody)
        assert "problem: standby replica1 is no standby any more: the server of its dsn is a primary" in said
        assert "problem: standby replica2 cannot be asked: no connection to PostgreSQL" in said
        await _promoted(cascade)

    asyncio.run(main())


async def checked(cascade: Cascade, **dsns: str) -> str:
    """What `check` says of each standby that is asked itself."""
    secrets = {name: Secret(name, value=dsn) for name, dsn in dsns.items()}
    database = DatabaseSettings("main", Secret("dsn", value=cascade.dsn), EXPECTED, standby_dsns=secrets)
    selecting = replace(make_rule("replication.lag"), select=(("standby", "replica3"),))
    known = replace(make_rule("replication.lag"), select=(("standby", "replica2"),))
    slot = replace(make_rule("replication.retained_bytes"), select=(("slot", "late"),))
    rules = (make_rule("replication.lag"), selecting, known, slot)
    settings = Settings(Path(), GuardSettings("us"), (database,), rules)
    primary = Door(cascade.dsn, purpose="check")
    try:
        remarks = await check_standbys(settings, database, primary)
    finally:
        await primary.close()
    return "\n".join(f"{each.grade}: {each.what}" for each in remarks)


async def _lags_as_it_is(cascade: Cascade, probe: ReplicationProbe) -> None:
    found = await cascade.until(probe, lambda found: 0 <= lag(found) < 1 and lag(found, "standbys") == 2)
    assert 0 <= lag(found, "flush_lag_bytes") < 1 << 20
    cascade.second.pause_replay()
    began = time.monotonic()
    found = await cascade.until(probe, lambda found: lag(found) > 1)
    assert lag(found) <= time.monotonic() - began + 0.5
    assert getattr(found["lag"], "detail", "") == "slowest standby: replica2, asked itself, replay is paused"
    assert getattr(found["lag{standby=replica2}"], "detail", "") == "asked itself, replay is paused"
    assert lag(found, "lag_bytes") > 100_000 > lag(found, "flush_lag_bytes")
    cascade.second.resume_replay()
    await cascade.until(probe, lambda found: 0 <= lag(found) < 1)


async def _hangs_and_is_not_waited_for(cascade: Cascade, probe: ReplicationProbe, line: Proxy) -> None:
    line.freeze()
    began = time.monotonic()
    found = await cascade.until(probe, lambda found: isinstance(found["lag"], Silence))
    assert time.monotonic() - began < 2.0
    assert why(found) == "replica2 does not answer within 0.5 s"
    assert isinstance(found["lag"], Silence)
    assert found["lag"].at_least is not None  # what replica1 shows counts all the same
    for _ in range(3):
        began = time.monotonic()
        assert "replica2" in why({"lag": (await probe.poll()).samples[0]})
        assert time.monotonic() - began < 0.4
    line.cut()  # and now it is known what is wrong
    await cascade.until(probe, lambda found: "connection" in why(found))
    line.heal()
    await cascade.until(probe, lambda found: 0 <= lag(found) < 1)


async def _cut_off_it_is_as_far_behind_as_it_is(cascade: Cascade) -> None:
    """No WAL comes any more: its timeline is proved by what it has replayed, and its lag grows."""
    probe = cascade.probe(replica2=cascade.dsn_of(cascade.second))
    await cascade.until(probe, lambda found: 0 <= lag(found) < 1)
    cascade.second.configure({"primary_conninfo": ""})
    cascade.second.execute("select pg_reload_conf()")
    found = await cascade.until(probe, lambda found: lag(found) > 0.7)
    assert getattr(found["lag"], "detail", "") == "slowest standby: replica2, asked itself, no WAL receiver"
    assert lag(found, "standbys") == 1
    cascade.second.follow(cascade.first.port, cascade.primary)
    await cascade.until(probe, lambda found: 0 <= lag(found) < 0.5 and lag(found, "standbys") == 2)
    await probe.close()


async def _promoted(cascade: Cascade) -> None:
    """The standby in the middle becomes a primary of its own, and the one behind it goes with it."""
    cascade.first.promote()
    probe = cascade.probe(replica1=cascade.dsn_of(cascade.first), replica2=cascade.dsn_of(cascade.second))

    def gone(found: Values) -> bool:
        wanted = ("replica1 is no standby any more", "replica2 follows timeline 2, and the primary is on timeline 1")
        return all(words in why(found) for words in wanted)

    found = await cascade.until(probe, gone)
    assert lag(found, "standbys") == 0
    await probe.close()


def test_a_credential_that_is_missing_and_a_server_that_is_not_there_are_reasons(primary: Server) -> None:
    def missing() -> Door:
        raise WorldError("/etc/password cannot be read.")

    def broken() -> Door:
        raise KeyError("password")

    async def main() -> None:
        closed = Door("host=127.0.0.1 port=9", purpose="standby")
        aside = Aside({"replica2": missing, "replica3": lambda: closed, "replica4": broken})
        expected = ("replica1", "replica2", "replica3", "replica4")
        probe = ReplicationProbe(Door(as_guard(primary.dsn()), purpose="replication"), expected, aside=aside)
        words = why({"lag": (await probe.poll()).samples[0]})
        assert words.startswith("replica2: /etc/password cannot be read.; replica3: no connection to PostgreSQL: ")
        assert words.endswith("; replica4: it failed: KeyError")
        await probe.close()

    asyncio.run(main())


def test_an_answer_that_comes_after_its_poll_is_too_old_for_the_next(
    standby: Server, make_proxy: Callable[[int], Proxy]
) -> None:
    line = make_proxy(standby.port)
    door = Door(line.dsn(standby.dsn()), purpose="standby", deadline=5.0)
    aside = Aside({"replica1": lambda: door})

    async def main() -> None:
        aside.begin()
        assert isinstance((await aside.answers())["replica1"], Said)
        line.freeze()
        aside.begin()
        assert await aside.answers() == {"replica1": "replica1 does not answer within 0.5 s"}
        aside.begin()
        line.heal()
        await door.fetch("select 1")  # once the question before has been answered
        assert await aside.answers() == {"replica1": "replica1 does not answer within 0.5 s"}
        aside.begin()
        assert isinstance((await aside.answers())["replica1"], Said)
        await aside.close()

    asyncio.run(main())
