"""One host name that leads to another server from one moment to the next: no door stays behind, and none runs ahead."""

import asyncio
from collections.abc import Callable

import pytest

from guard.demo.embedded import Server
from guard.demo.proxy import Proxy
from guard.errors import ServerError
from guard.postgres import Connection, Door, Hosts
from tests.fix_postgres import MakeCluster

pytestmark = pytest.mark.integration


async def port(door: Door) -> int | str:
    """On which port the door's server listens, or why it does not answer."""
    try:
        [(found,)] = await door.fetch("select inet_server_port()")
    except ServerError as error:
        return str(error)
    return int(found)


async def until(door: Door, wanted: int) -> None:
    """Ask until this server answers."""
    for _ in range(200):
        if await port(door) == wanted:
            return
        await asyncio.sleep(0.05)
    raise TimeoutError(f"{wanted}; it answers {await port(door)}")


def end(server: Server, door: Door) -> None:
    """The server ends the session of a door."""
    server.execute("select pg_terminate_backend(%s)", [door.backend_pid])


@pytest.mark.fault(19)
def test_doors_of_one_name_follow_the_one_that_leads_and_bring_it_along_where_the_name_leads_to_a_primary(
    make_cluster: MakeCluster, make_proxy: Callable[[int], Proxy]
) -> None:
    cluster = make_cluster(1)
    old, new = cluster.primary, cluster.standby
    name, said = make_proxy(old.port), list[str]()

    async def leave(words: str) -> None:
        said.append(words)

    async def work() -> None:
        hosts = Hosts(name.dsn(old.dsn()))
        hosts.before_leaving.append(leave)
        leading, probe = hosts.door("signal", leads=True), hosts.door("probe")
        assert (await port(probe), await port(leading)) == (old.port, old.port)

        # It leads to a standby for a while: nobody looks at that one, and the leader stays where it is.
        name.target = new.port
        end(old, probe)
        await port(probe)
        assert "leads to a standby now" in str(await port(probe))
        assert (await port(leading), said) == (old.port, [])

        # Who is let in there brings the leader along, which has a last word first.
        new.promote()
        await until(probe, new.port)
        assert said == ["its host name leads to another server since a moment ago"]
        assert await port(leading) == new.port

        # The leader moves by itself, and nobody stays behind.
        name.target = old.port
        end(new, leading)
        await until(leading, old.port)
        await until(probe, old.port)
        assert len(said) == 1
        await asyncio.gather(leading.close(), probe.close(), hosts.close())

    asyncio.run(work())


@pytest.mark.fault(19)
def test_a_door_that_was_connecting_while_the_leader_moved_does_not_stay_behind(
    make_cluster: MakeCluster, make_proxy: Callable[[int], Proxy]
) -> None:
    cluster = make_cluster(1)
    old, new = cluster.primary, cluster.standby
    name = make_proxy(old.port)

    async def work() -> None:
        hosts = Hosts(name.dsn(old.dsn()))
        leading, probe = hosts.door("signal", leads=True), hosts.door("probe")
        connected, moved = asyncio.Event(), asyncio.Event()

        async def prepare(_: Connection) -> None:
            connected.set()
            await moved.wait()

        probe.on_connect = prepare
        asked = asyncio.create_task(port(probe))
        await connected.wait()
        name.target = new.port
        assert await port(leading) == new.port
        moved.set()
        assert "leads to another server" in str(await asked)
        await until(probe, new.port)
        await asyncio.gather(leading.close(), probe.close(), hosts.close())

    asyncio.run(work())


def test_a_restart_of_the_one_server_brings_every_door_back(make_cluster: MakeCluster) -> None:
    server = make_cluster(0).primary

    async def work() -> None:
        hosts = Hosts(server.dsn())
        leading, probe = hosts.door("signal", leads=True), hosts.door("probe")
        assert (await port(probe), await port(leading)) == (server.port, server.port)
        await asyncio.to_thread(server.restart)
        await until(probe, server.port)
        await until(leading, server.port)
        assert await port(probe) == server.port
        await asyncio.gather(leading.close(), probe.close(), hosts.close())

    asyncio.run(work())
