"""The status page on real sockets: whom it serves, and whom it cuts off or turns away."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from pathlib import Path

import pytest

from guard.show.serving import CONNECTIONS
from guard.show.stream import CLIENTS, Board
from tests.following import FOLLOW, HELLO, WITHIN, Follower, ask, becomes, doorway, run, until
from tests.seen import Stage, a_database, a_run


@pytest.mark.fault(66)
def test_who_is_slow_with_a_request_is_cut_off_and_holds_up_nobody() -> None:
    async def work() -> None:
        async with doorway(Stage(a_database()), patience=1.0) as port:
            slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]

            async def drip(writer: asyncio.StreamWriter) -> None:
                writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
                with contextlib.suppress(ConnectionError):
                    while True:
                        writer.write(b"x")
                        await writer.drain()
                        await asyncio.sleep(0.05)

            dripping = [asyncio.create_task(drip(writer)) for _, writer in slow]
            assert b" 200 " in await ask(port)
            async with asyncio.timeout(WITHIN):
                for reader, _ in slow:
                    with contextlib.suppress(ConnectionError):
                        assert b" 200 " not in await reader.read()
            for task in dripping:
                task.cancel()
            for _, writer in slow:
                writer.close()

    run(work)


@pytest.mark.fault(66)
def test_who_does_not_read_is_cut_off_while_others_are_told_at_once() -> None:
    async def work() -> None:
        stage = Stage(a_database("main", a_run()))
        async with doorway(stage, patience=2.0) as port:
            line = socket.socket()
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.connect(("127.0.0.1", port))
            line.sendall(FOLLOW)
            follower = await Follower.come(port)
            await follower.status()
            await follower.part(lambda part: part["id"] == "db-main")
            end, number = time.monotonic() + WITHIN, 0
            while time.monotonic() < end and not hung_up(line):
                number += 1
                word = f"reason {number} " + "x" * 100_000
                began = time.monotonic()
                stage.show(a_database("main", a_run(1, "paused", because=word)))
                await follower.part(lambda part, n=number: f"reason {n} x" in part["html"])  # type: ignore[misc]
                assert time.monotonic() - began < 5.0
            assert hung_up(line), "it was never cut off"
            line.close()
            follower.writer.close()

    run(work)


def hung_up(line: socket.socket) -> bool:
    """Whether the other side has cut the connection, by the kernel's word: nothing is read."""
    return line.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != 1  # TCP_ESTABLISHED


@pytest.mark.fault(66)
def test_what_is_too_large_or_no_http_is_refused_and_no_path_leaves_the_page() -> None:
    async def work() -> None:
        async with doorway(Stage(a_database())) as port:
            huge = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000 + b"\r\n\r\n"
            assert b" 200 " not in await ask(port, huge)
            assert b" 200 " not in await ask(port, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 10)
            smuggled = (
                b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            )
            assert b" 400 " in await ask(port, smuggled)
            assert b" 421 " in await ask(port, b"GET / HTTP/1.0\r\n\r\n")
            assert b" 421 " in await ask(port, b"GET / HTTP/1.1\r\nHost: evil.com\r\n\r\n")
            for path in (
                "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/static/../page.py", "/page.css/../app.py",
                "//etc/passwd", "/run/main/..%2f..%2fetc", "/run/main/1'--", "/run/nobody/1", "/run/main/-1",
                "/run/main/99999999999999999999", "http://evil.com/", "/events/nobody/1",
            ):  # fmt: skip
                answer = await ask(port, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                assert answer.split(b" ")[1] == b"404", (path, answer[:200])
            assert b" 200 " in await ask(port)
            # A second request in the same breath is not answered: each connection is for one.
            assert (await ask(port, HELLO * 3)).count(b"HTTP/1.1 200") == 1

    run(work)


@pytest.mark.fault(66)
def test_more_connections_and_more_followers_than_allowed_are_turned_away() -> None:
    async def work() -> None:
        async with doorway(Stage(a_database())) as port:
            followers = [await Follower.come(port) for _ in range(CLIENTS)]
            assert {await each.status() for each in followers} == {200}
            one_more = await Follower.come(port)
            assert await one_more.status() == 503
            assert b" 200 " in await ask(port), "the page itself is there"
            idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS - CLIENTS + 5)]
            assert await ask(port) == b""
            for each in (*followers, one_more):
                each.writer.close()
            for _, writer in idle:
                writer.close()

            async def served() -> bool:
                return b" 200 " in await ask(port)

            await until(served)

    run(work)


def test_an_event_reaches_every_follower_within_a_second_and_each_page_is_drawn_once_for_all() -> None:
    async def work() -> None:
        stage = Stage(a_database("main", a_run()), a_database("shop"))
        async with doorway(stage) as port:
            followers = [await Follower.come(port) for _ in range(10)]
            for each in followers:
                await each.part(lambda part: part["id"] == "db-shop")
            looks, took = stage.looks, []
            for phase in ("paused", "running", "aborted"):
                began = time.monotonic()
                stage.show(a_database("main", a_run(1, phase)), a_database("shop"))
                told = [each.part(lambda part: part["id"] == "db-main") for each in followers]
                for part in await asyncio.gather(*told):
                    assert f'data-phase="{phase}"' in part["html"]
                took.append(time.monotonic() - began)
            assert min(took) < 1.0, took
            assert stage.looks - looks <= 20, "a look for each follower"
            for each in followers:
                each.writer.close()

    run(work)


def test_who_was_slow_is_sent_the_newest_alone() -> None:
    async def work() -> None:
        board = Board()
        for number in range(5):
            board.put({"a": f"a{number}", "b": "b"})
        assert [json.loads(event.split(b"data: ")[1]) for event in board.newer(0)] == [
            {"id": "a", "html": "a4"},
            {"id": "b", "html": "b"},
        ]
        assert len(board.newer(1)) == 1
        moved = board.moved
        board.put({"a": "a4", "b": "b"})
        assert (moved.is_set(), board.newer(board.number)) == (False, [])

    run(work)


def test_descriptors_and_tasks_stay_as_they_were_after_many_who_came_and_went() -> None:
    async def work() -> None:
        async with doorway(Stage(a_database("main", a_run()))) as port:
            await ask(port)

            async def wave() -> None:
                followers = [await Follower.come(port) for _ in range(20)]
                for each in followers:
                    await each.status()
                    each.writer.transport.abort()
                await asyncio.gather(*(ask(port) for _ in range(20)))

            await wave()
            before = held()
            for _ in range(3):
                await wave()
            await becomes(lambda: all(now <= then for now, then in zip(held(), before, strict=True)))

    run(work)


def held() -> tuple[int, int]:
    """Descriptors of this process, and tasks of its loop."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir()), len(asyncio.all_tasks())
