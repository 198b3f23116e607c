"""The status page as long as it lives: it listens where it can, tries again where it cannot, and ends at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import stat
import time
from pathlib import Path

import pytest

from guard.demo.server import free_port
from guard.errors import WorldError
from guard.show.page import Page, Wish
from tests.following import HELLO, Follower, ask, becomes, listens, run, until
from tests.seen import Stage, a_database, a_run


def test_its_own_address_is_a_name_that_may_be_asked_for() -> None:
    assert Wish("::1", 8788).names == ("localhost", "127.0.0.1", "[::1]", "[::1]")
    assert Wish("10.0.0.8", 8788, hosts=("guard.example",)).names[3:] == ("10.0.0.8", "guard.example")


@pytest.mark.fault(4, 66)
def test_it_ends_within_a_second_with_streams_open_and_clients_that_do_not_read(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    async def work() -> None:
        stage, page, port = Stage(a_database("main", a_run())), Page(tmp_path / "tape"), free_port()
        page.want(Wish(port=port))
        running = asyncio.create_task(page.run(stage))
        await until(lambda: listens(port))
        followers = [await Follower.come(port) for _ in range(20)]
        for each in followers[:10]:  # the others never read
            await each.part(lambda part: part["id"] == "db-main")
        half = [await asyncio.open_connection("127.0.0.1", port) for _ in range(10)]
        for number in range(3):
            stage.show(a_database("main", a_run(1, "paused", because=f"{number}" + "x" * 1_000_000)))
            await followers[0].part(lambda part, n=number: f">{n}x" in part["html"])  # type: ignore[misc]
        began = time.monotonic()
        await page.close()
        assert time.monotonic() - began < 2.5
        running.cancel()
        assert not await listens(port)
        for writer in (*(each.writer for each in followers), *(writer for _, writer in half)):
            writer.close()

    with caplog.at_level(logging.WARNING):
        run(work)
    assert caplog.messages == []


def test_a_place_that_is_taken_is_said_and_taken_up_once_it_is_free(tmp_path: Path) -> None:
    async def work() -> None:
        port = free_port()
        taken = socket.create_server(("127.0.0.1", port))
        page = Page(tmp_path / "tape", again_after=0.1)
        page.want(Wish(port=port))
        running = asyncio.create_task(page.run(Stage(a_database())))
        await becomes(lambda: bool(page.trouble))
        assert page.troubles == {"the status page": f"127.0.0.1:{port} cannot be listened at: Address already in use."}
        taken.close()
        await becomes(lambda: not page.trouble)
        assert b" 200 " in await ask(port)
        # A token that cannot be read: nobody looks, and what is wrong is said.
        page.want(Wish(port=port, token=_unreadable))
        await becomes(lambda: bool(page.trouble))
        assert page.trouble == "/etc/token cannot be read."
        page.want(Wish(port=port, token=lambda: "short"))
        await becomes(lambda: "16 characters" in page.trouble)
        page.want(Wish(port=port, token=lambda: "long enough for a token"))
        await becomes(lambda: not page.trouble)
        assert b" 401 " in await ask(port)
        page.want(None)

        async def closed() -> bool:
            return not await listens(port)

        await until(closed)
        running.cancel()

    run(work)


def _unreadable() -> str:
    raise WorldError("/etc/token cannot be read.")


def test_a_unix_socket_is_for_its_user_and_group_and_one_that_was_left_over_is_replaced(tmp_path: Path) -> None:
    async def work() -> None:
        path = tmp_path / "page.sock"
        left_over = socket.socket(socket.AF_UNIX)
        left_over.bind(str(path))
        left_over.close()
        page = Page(tmp_path / "tape", again_after=0.1)
        page.want(Wish(path=path))
        running = asyncio.create_task(page.run(Stage(a_database())))
        await becomes(lambda: page.trouble != "" or _answers(path))
        assert page.trouble == ""
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        second = Page(tmp_path / "tape", again_after=0.1)
        second.want(Wish(path=path))
        trying = asyncio.create_task(second.run(Stage(a_database())))
        await becomes(lambda: bool(second.trouble))
        assert _answers(path), "the one that was there first"
        trying.cancel()
        await page.close()
        running.cancel()
        assert not path.exists()

    run(work)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as line, contextlib.suppress(OSError):
        line.connect(str(path))
        return True
    return False


def test_tls_is_spoken_where_there_is_a_certificate_and_a_wrong_one_is_said(
    self_signed: ssl.SSLContext, tmp_path: Path
) -> None:
    async def work() -> None:
        certificate, key = tmp_path / "server.crt", tmp_path / "server.key"
        port, page = free_port(), Page(tmp_path / "tape", again_after=0.1)
        page.want(Wish(port=port, tls=(certificate, certificate)))
        running = asyncio.create_task(page.run(Stage(a_database())))
        await becomes(lambda: "no certificate and its key" in page.trouble)
        page.want(Wish(port=port, tls=(certificate, key)))
        await becomes(lambda: not page.trouble)
        trusting = ssl.create_default_context(cafile=str(certificate))
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname="127.0.0.1")
        writer.write(HELLO)
        assert b" 200 " in await reader.readuntil(b"\r\n")
        writer.close()
        assert b"HTTP/1.1 200" not in await ask(port)
        await page.close()
        running.cancel()

    run(work)
