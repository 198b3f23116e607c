"""Several hosts of one database: each is asked what it is, and none that is silent or foreign is in the way."""

import asyncio
import time
from collections.abc import Callable

import pytest

from guard.demo.embedded import Cluster, Server
from guard.demo.proxy import Proxy
from guard.errors import ServerError, Unreachable, WrongServer
from guard.model import Reading
from guard.poll.hosts import HostsProbe
from guard.postgres import Door, Hosts
from tests.fix_matrix import Took
from tests.fix_postgres import MakeCluster
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

NOISE = 0.6
"""Seconds that a busy machine may add."""
PORT = "select inet_server_port()"


def dsn(server: Server, *ports: int) -> str:
    """The address of a server with these ports in its place."""
    hosts = ",".join("127.0.0.1" for _ in ports)
    return f"host={hosts} port={','.join(map(str, ports))} user=postgres password={server.password} dbname=postgres"


async def reading(hosts: Hosts) -> tuple[float, str]:
    """What the probe says: how many primaries, and its words."""
    (sample,) = (await HostsProbe(hosts).poll()).samples
    assert isinstance(sample, Reading)
    return sample.value, sample.detail


async def until(hosts: Hosts, words: str) -> None:
    """Look until it is said; who was silent is heard again a look later."""
    for _ in range(200):
        if words in (await reading(hosts))[1]:
            return
        await asyncio.sleep(0.05)
    raise TimeoutError(f"{words!r} in {(await reading(hosts))[1]!r}")


async def asked(door: Door) -> int | str:
    """On which port the door's host answers, or why it does not."""
    try:
        [(port,)] = await door.fetch(PORT)
    except ServerError as error:
        return str(error)
    return int(port)


def test_one_host_is_reached_by_one_connection_and_asked_nothing_else(cluster: Cluster) -> None:
    async def work() -> None:
        hosts = Hosts(cluster.primary.dsn())
        door = hosts.door("t")
        assert not hosts.several
        assert await asked(door) == cluster.primary.port
        sessions = "select application_name from pg_stat_activity where application_name like 'migration_guard/%'"
        assert await door.fetch(sessions) == [("migration_guard/t",)]
        await asyncio.gather(door.close(), hosts.close())

    asyncio.run(work())


def test_the_primary_is_found_behind_a_standby_and_counted_once_under_two_names(
    cluster: Cluster, standby: Server
) -> None:
    primary = cluster.primary

    async def work() -> None:
        hosts = Hosts(dsn(primary, standby.port, primary.port, primary.port))
        door = hosts.door("t")
        assert await asked(door) == primary.port
        count, words = await reading(hosts)
        assert (count, f"one primary: 127.0.0.1:{primary.port} (timeline 1)" in words) == (1, True)
        assert f"127.0.0.1:{standby.port} is a standby" in words
        await asyncio.gather(door.close(), hosts.close())

    asyncio.run(work())


@pytest.mark.fault(19)
def test_a_first_host_that_swallows_everything_does_not_keep_the_second_from_being_found(
    cluster: Cluster, make_proxy: Callable[[int], Proxy], took: Took
) -> None:
    black_hole, other = make_proxy(cluster.primary.port), make_proxy(cluster.standby.port)
    black_hole.freeze()

    async def work() -> None:
        hosts = Hosts(dsn(cluster.primary, black_hole.port, cluster.primary.port, other.port), deadline=2.0)
        door = hosts.door("t")
        with took.within(1.0 + NOISE):
            assert await asked(door) == cluster.primary.port
        await hosts.look()
        other.freeze()
        for limit in (1.0 + NOISE, NOISE, NOISE):  # the standby is waited for once, when it falls silent
            began = time.monotonic()
            count, words = await reading(hosts)
            assert time.monotonic() - began < limit
            assert (count, words.count(" does not answer")) == (1, 2)
        black_hole.heal()
        other.heal()
        await until(hosts, f"127.0.0.1:{other.port} is a standby")
        await asyncio.gather(door.close(), hosts.close())

    asyncio.run(work())


def test_a_host_of_another_cluster_is_named_and_never_chosen(cluster: Cluster, make_cluster: MakeCluster) -> None:
    foreign = make_cluster(0).primary
    foreign.execute(f"alter user postgres password '{cluster.primary.password}'".encode())

    async def work() -> None:
        hosts = Hosts(dsn(cluster.primary, foreign.port, cluster.primary.port, cluster.standby.port))
        door = hosts.door("t")
        assert await asked(door) == cluster.primary.port
        assert (await reading(hosts))[0] == 1
        assert f"127.0.0.1:{foreign.port} belongs to another cluster" in (await reading(hosts))[1]
        await asyncio.gather(door.close(), hosts.close())

    asyncio.run(work())


def test_without_a_primary_it_says_what_each_host_is(
    cluster: Cluster, standby: Server, make_proxy: Callable[[int], Proxy]
) -> None:
    gone = make_proxy(cluster.primary.port)
    gone.cut()

    async def work() -> None:
        for ports, kind in (((standby.port, standby.port), WrongServer), ((gone.port, standby.port), Unreachable)):
            hosts = Hosts(dsn(cluster.primary, *ports))
            door = hosts.door("t")
            with pytest.raises(kind, match=f"no host leads: .*127.0.0.1:{standby.port} is a standby"):
                await door.connect()
            count, words = await reading(hosts)
            assert (count, words.startswith("no primary; ")) == (0, True)
            assert cluster.primary.password not in words
            await asyncio.gather(door.close(), hosts.close())

    asyncio.run(work())


@pytest.mark.fault(19)
def test_the_highest_timeline_is_followed_and_never_left_for_an_old_primary(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(1)
    old, new = cluster.primary, cluster.standby
    left: list[str] = []

    async def leave(words: str) -> None:
        left.append(words)
        await asyncio.sleep(60)  # it may hang: the server that is left may be frozen

    async def turn(hosts: Hosts, door: Door, listener: Door) -> None:
        hosts.before_leaving.append(leave)
        assert (await asked(door), await asked(listener)) == (old.port, old.port)
        listening = asyncio.create_task(listener.notified(60.0))
        new.promote()
        count, words = await reading(hosts)
        assert (count, words) == (
            2, f"two primaries: 127.0.0.1:{old.port} (timeline 1), 127.0.0.1:{new.port} (timeline 2)"
        )  # fmt: skip
        assert left == [f"127.0.0.1:{new.port} (timeline 2) leads now, and no longer 127.0.0.1:{old.port} (timeline 1)"]
        with pytest.raises(Unreachable):  # who only listened is told at once
            await asyncio.wait_for(listening, 1.0)
        assert (await asked(door), await asked(listener)) == (new.port, new.port)

    async def keep(hosts: Hosts, door: Door) -> None:
        new.stop("fast")
        await hosts.look()
        assert "the connection to PostgreSQL broke" in str(await asked(door))
        assert "it led on timeline 2 when it was last heard" in str(await asked(door))
        assert (await reading(hosts))[0] == 1
        new.start()
        await until(hosts, "two primaries")
        assert await asked(door) == new.port  # at once: what was waited for is there
        old.stop("immediate")
        await hosts.look()
        assert await asked(door) == new.port
        assert len(left) == 1

    async def work() -> None:
        hosts = Hosts(dsn(old, old.port, new.port))
        door, listener = hosts.door("t"), hosts.door("listen")
        await turn(hosts, door, listener)
        await keep(hosts, door)
        await asyncio.gather(door.close(), listener.close(), hosts.close())

    asyncio.run(work())
    sessions = "select count(*) from pg_stat_activity where application_name like 'migration_guard/%'"
    wait_for(lambda: new.execute(sessions) == [(0,)], message="every session to be gone")


@pytest.mark.fault(19)
def test_an_old_primary_that_comes_back_as_a_standby_changes_nothing(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(1)
    old, new = cluster.primary, cluster.standby

    async def work() -> None:
        hosts = Hosts(dsn(old, old.port, new.port))
        door = hosts.door("t")
        assert await asked(door) == old.port
        old.stop("fast")
        new.promote()
        await until(hosts, "one primary")
        assert await asked(door) == new.port
        (old.data_dir / "standby.signal").touch()
        old.follow(new.port, new)
        old.start()
        await until(hosts, f"127.0.0.1:{old.port} is a standby")
        assert (await reading(hosts))[0] == 1
        assert (await asked(door), door.generation) == (new.port, 2)
        await asyncio.gather(door.close(), hosts.close())

    asyncio.run(work())
