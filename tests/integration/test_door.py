"""The door to PostgreSQL answers or gives up in time, reconnects, and names what went wrong without secrets."""

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from guard.demo.embedded import Server
from guard.demo.proxy import Proxy
from guard.errors import DeadlineExceeded, Fenced, NotPermitted, QueryFailed, Unreachable, WorldError, WrongServer
from guard.postgres import Connection, Door
from tests.fix_postgres import Database, MakeRole
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

SLACK = 0.6  # seconds that a busy machine may add to a deadline
SETTINGS = ("application_name", "statement_timeout", "lock_timeout", "synchronous_commit", "idle_session_timeout")


def test_a_session_of_the_guard_says_who_it_is_and_carries_its_timeouts(database: Database) -> None:
    async def ask() -> list[tuple[object, ...]]:
        door = Door(database.dsn(), purpose="probe", settings={"tcp_keepalives_idle": "7"})
        rows = await door.fetch(
            "select current_setting(name) from unnest(%s::text[]) as name", [[*SETTINGS, "tcp_keepalives_idle"]]
        )
        await door.close()
        return rows

    assert asyncio.run(ask()) == [
        ("migration_guard/probe",),
        ("1500ms",),
        ("300ms",),
        ("local",),
        ("0",),
        ("7",),
    ]


def test_no_function_of_other_schemas_is_run_in_place_of_the_servers_own(database: Database) -> None:
    # It fits two literals better than the server's own, whose first argument is a name.
    database.execute(
        "create function public.pg_has_role(text, text) returns boolean language plpgsql as "
        "$$ begin raise 'run with the rights of %', current_user; end $$"
    )

    async def ask() -> list[tuple[object, ...]]:
        door = Door(database.dsn(), purpose="t")
        try:
            return await door.fetch("select pg_has_role('pg_monitor', 'usage')")
        finally:
            await door.close()

    assert asyncio.run(ask()) == [(True,)]


def test_rows_come_as_the_type_asked_for(database: Database) -> None:
    @dataclass
    class Point:
        x: int
        y: int

    async def ask() -> list[Point]:
        door = Door(database.dsn(), purpose="t")
        try:
            return await door.fetch_as(Point, "select %(x)s::int as x, 2 as y", {"x": 1})
        finally:
            await door.close()

    assert asyncio.run(ask()) == [Point(1, 2)]


def test_a_frozen_server_process_costs_its_deadline_and_not_a_moment_more(database: Database, primary: Server) -> None:
    async def ask() -> None:
        door = Door(database.dsn(), purpose="t", deadline=1.0)
        await door.connect()
        first = door.backend_pid
        assert first is not None
        with primary.frozen(first):
            start = time.monotonic()
            with pytest.raises(DeadlineExceeded, match="no answer from PostgreSQL within"):
                await door.fetch("select 1", deadline=0.5)
            assert 0.5 <= time.monotonic() - start < 0.5 + SLACK
            assert not door.connected
            assert await door.fetch("select pg_backend_pid()") != [(first,)]
            assert door.generation == 2
        await door.close()

    asyncio.run(ask())
    alive = "select count(*) from pg_stat_activity where application_name = 'migration_guard/t'"
    wait_for(lambda: database.execute(alive) == [(0,)], message="every session of the door to be gone")


@pytest.mark.fault(32)
def test_a_frozen_line_costs_its_deadline_and_heals(database: Database, proxy: Proxy) -> None:
    async def ask() -> None:
        door = Door(proxy.dsn(database.dsn()), purpose="t", deadline=1.0)
        assert await door.fetch("select 1") == [(1,)]
        proxy.freeze()
        for _ in range(2):  # the open connection first, then a new one
            start = time.monotonic()
            with pytest.raises((DeadlineExceeded, Unreachable)):
                await door.fetch("select 1")
            assert time.monotonic() - start < 1.0 + SLACK
        proxy.heal()
        await door.connect()
        assert await door.fetch("select 1") == [(1,)]
        await door.close()

    asyncio.run(ask())


def test_one_silent_server_delays_nobody_else(database: Database, primary: Server) -> None:
    async def ask() -> None:
        silent, healthy = Door(database.dsn(), purpose="silent", deadline=1.5), Door(database.dsn(), purpose="healthy")
        await asyncio.gather(silent.connect(), healthy.connect())
        assert silent.backend_pid is not None
        with primary.frozen(silent.backend_pid):
            hanging = asyncio.create_task(silent.fetch("select 1"))
            answers = 0
            while not hanging.done():
                start = time.monotonic()
                await healthy.fetch("select 1")
                assert time.monotonic() - start < SLACK
                answers += 1
                await asyncio.sleep(0.01)
            assert answers > 10
            assert isinstance(hanging.exception(), DeadlineExceeded)
        await asyncio.gather(silent.close(), healthy.close())

    asyncio.run(ask())


def test_giving_up_a_question_from_outside_does_not_wait_for_the_server(database: Database, primary: Server) -> None:
    async def ask() -> None:
        door = Door(database.dsn(), purpose="t", deadline=60.0)
        await door.connect()
        assert door.backend_pid is not None
        with primary.frozen(door.backend_pid):
            start = time.monotonic()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(door.fetch("select 1"), 0.3)
            assert time.monotonic() - start < 0.3 + SLACK
            assert await door.fetch("select 1") == [(1,)]
        await door.close()

    asyncio.run(ask())


def test_a_question_that_waits_for_the_one_before_gives_up_without_harming_it(database: Database) -> None:
    async def ask() -> None:
        door = Door(database.dsn(), purpose="t", deadline=5.0)
        first = asyncio.create_task(door.fetch("select 'first', pg_sleep(0.8)"))
        await asyncio.sleep(0)
        with pytest.raises(DeadlineExceeded, match="still busy"):
            await door.fetch("select 1", deadline=0.2)
        assert (await first)[0][0] == "first"
        assert door.generation == 1
        await door.close()

    asyncio.run(ask())


@pytest.mark.fault(17)
def test_a_connection_that_was_terminated_is_replaced_at_the_next_question(database: Database) -> None:
    seen: list[int] = []

    async def remember(connection: Connection) -> None:
        seen.append(connection.info.backend_pid)

    async def ask() -> None:
        door = Door(database.dsn(), purpose="t")
        door.on_connect = remember
        await door.connect()
        database.execute("select pg_terminate_backend(%s, 5000)", [door.backend_pid])
        with pytest.raises(Unreachable, match="broke"):
            await door.fetch("select 1")
        assert await door.fetch("select 1") == [(1,)]
        assert seen[1:] == [door.backend_pid]
        assert door.generation == 2
        await door.close()

    asyncio.run(ask())


@pytest.mark.fault(25)
def test_a_server_that_cannot_be_reached_is_not_stormed(database: Database, proxy: Proxy) -> None:
    proxy.cut()

    async def ask() -> None:
        door = Door(proxy.dsn(database.dsn()), purpose="t")
        for _ in range(6):
            with pytest.raises(Unreachable, match="no connection to PostgreSQL"):
                await door.connect()
        tried = proxy.accepted
        with pytest.raises(Unreachable, match=r"Trying again in \d"):
            await door.fetch("select 1")
        assert proxy.accepted == tried
        proxy.heal()
        await door.connect()
        assert await door.fetch("select 1") == [(1,)]
        await door.close()

    asyncio.run(ask())


def test_what_the_server_refuses_is_named_and_the_connection_lives_on(database: Database, make_role: MakeRole) -> None:
    make_role("door_nobody")
    database.execute("create table secret (n int)")

    async def ask() -> None:
        door = Door(database.dsn("door_nobody"), purpose="t", statement_timeout_ms=200)
        with pytest.raises(NotPermitted) as denied:
            await door.fetch("select * from public.secret")
        assert denied.value.sqlstate == "42501"
        with pytest.raises(QueryFailed) as unknown:
            await door.fetch("select * from nowhere")
        assert unknown.value.sqlstate == "42P01"
        with pytest.raises(QueryFailed) as slow:
            await door.fetch("select pg_sleep(60)")
        assert slow.value.sqlstate == "57014"
        assert door.generation == 1
        await door.close()

    asyncio.run(ask())


@pytest.mark.fault(25)
def test_no_password_is_in_any_message(database: Database) -> None:
    canary = "pa55/w0rd canary"

    async def ask() -> None:
        door = Door(database.dsn(password=canary), purpose="t")
        with pytest.raises(Unreachable, match="password authentication failed") as refused:
            await door.connect()
        assert refused.value.__cause__ is None
        assert canary not in f"{refused.value!r} {door!r}"

    asyncio.run(ask())
    with pytest.raises(WorldError) as unreadable:
        Door(f"password='{canary}' nonsense", purpose="t")
    assert "canary" not in str(unreadable.value)


def test_a_transaction_commits_whole_or_not_at_all(database: Database) -> None:
    database.execute("create table t (n int)")

    async def ask() -> None:
        door = Door(database.dsn(), purpose="t")

        async def write(connection: Connection) -> str:
            await connection.execute("insert into public.t values (1)")
            return "done"

        async def fenced(connection: Connection) -> None:
            await connection.execute("insert into public.t values (2)")
            raise Fenced("a newer guard leads")

        async def hang(connection: Connection) -> None:
            await connection.execute("insert into public.t values (3)")
            await connection.execute("select pg_sleep(1)")

        assert await door.transact(write) == "done"
        with pytest.raises(Fenced):
            await door.transact(fenced)
        with pytest.raises(DeadlineExceeded):
            await door.transact(hang, deadline=0.3)
        assert await door.fetch("select n from public.t") == [(1,)]
        await door.close()

    asyncio.run(ask())
    idle = "select count(*) from pg_stat_activity where application_name = 'migration_guard/t'"
    wait_for(lambda: database.execute(idle) == [(0,)], message="the abandoned transaction to end")
    assert database.execute("select n from t") == [(1,)]


def test_a_notification_is_heard_and_silence_is_no_error(database: Database) -> None:
    async def listen(connection: Connection) -> None:
        await connection.execute("listen here")

    async def ask() -> None:
        door = Door(database.dsn(), purpose="t")
        door.on_connect = listen
        assert await door.notified(0.05) == []
        database.execute("select pg_notify('here', 'run 7')")
        assert await door.notified(5.0) == ["run 7"]
        await door.close()

    asyncio.run(ask())


@contextmanager
def pooler(port: int) -> Iterator[int]:
    """A line that, as poolers do, names another process id in BackendKeyData than the one that serves."""

    def rewrite(data: bytes) -> bytes:
        at = data.find(b"K\x00\x00\x00\x0c")
        return data if at < 0 else data[: at + 5] + struct.pack("!i", 402637629) + data[at + 9 :]

    def serve(listener: socket.socket) -> None:
        client, _ = listener.accept()
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            back = threading.Thread(target=pump, args=(client, server, bytes), daemon=True)
            back.start()
            pump(server, client, rewrite)
            back.join(5)

    def pump(source: socket.socket, sink: socket.socket, change: Callable[[bytes], bytes]) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(change(data))
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other end has gone first

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1]


@pytest.mark.fault(27)
def test_a_connection_through_a_pooler_is_refused_before_anything_is_set_on_it(database: Database) -> None:
    with pooler(database.server.port) as port:
        door = Door(f"{database.dsn()} port={port} sslmode=disable gssencmode=disable", purpose="t")
        with pytest.raises(WrongServer, match="connection pooler"):
            asyncio.run(door.connect())
        with pytest.raises(Unreachable, match="connection pooler"):
            asyncio.run(door.fetch("select 1"))
