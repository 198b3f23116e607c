"""What `check` says of the status page."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from guard.check.page import check_page
from guard.demo.server import free_port
from guard.settings import Settings, load
from guard.show.page import Page, Wish
from tests.following import listens, until
from tests.seen import Stage, a_database

HEAD = '[database.main]\ndsn = "host=db1 dbname=app user=guard"\nstandbys = []\n'


def settings(directory: Path, *lines: str) -> Settings:
    path = directory / "guard.toml"
    path.touch(0o600)
    path.write_text(HEAD + "\n".join(lines) + "\n")
    return load(path)


def said(of: Settings) -> list[tuple[str, str]]:
    return [(remark.grade.value, remark.what) for remark in asyncio.run(check_page(of))]


def test_without_a_page_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert said(settings(tmp_path)) == []


def test_a_page_that_can_be_shown_is_left_as_it_was(tmp_path: Path) -> None:
    port, path = free_port(), tmp_path / "page.sock"
    of = settings(tmp_path, "[page]", f'listen = "127.0.0.1:{port}"')
    assert said(of) == [("fine", f"can be shown at 127.0.0.1:{port}, to every account of this machine")]
    socket.create_server(("127.0.0.1", port)).close()
    of = settings(tmp_path, "[page]", f'listen = "{path}"')
    assert said(of) == [("fine", f"can be shown at the Unix socket {path}, to its user and group")]
    assert not path.exists()


@pytest.mark.parametrize("where", ["port", "socket"])
def test_a_place_that_our_own_daemon_has_is_fine(tmp_path: Path, where: str) -> None:
    port, path = free_port(), tmp_path / "page.sock"
    listen = f"127.0.0.1:{port}" if where == "port" else str(path)
    of = settings(tmp_path, "[page]", f'listen = "{listen}"')
    words = listen if where == "port" else f"the Unix socket {path}"

    async def ours() -> list[str]:
        page = Page(tmp_path / "tape")
        page.want(Wish(port=port) if where == "port" else Wish(path=path))
        running = asyncio.create_task(page.run(Stage(a_database())))
        await until(lambda: listens(port) if where == "port" else _there(path))
        remarks = await check_page(of)
        await page.close()
        running.cancel()
        return [f"{remark.grade}: {remark.what}" for remark in remarks]

    who = "every account of this machine" if where == "port" else "its user and group"
    assert asyncio.run(ours()) == [f"fine: a daemon shows it at {words} already, to {who}"]


def test_a_place_that_a_stranger_has_is_a_problem(tmp_path: Path) -> None:
    # It accepts, and says nothing: no daemon of ours.
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        listen = f"127.0.0.1:{stranger.getsockname()[1]}"
        of = settings(tmp_path, "[page]", f'listen = "{listen}"')
        assert said(of) == [("problem", f"{listen} cannot be listened at: Address already in use.")]


async def _there(path: Path) -> bool:
    return await asyncio.to_thread(path.exists)


def test_a_token_that_cannot_be_had_and_a_certificate_that_is_none_are_problems(tmp_path: Path) -> None:
    of = settings(tmp_path, "[page]", 'token_file = "none"')
    assert said(of) == [("problem", f"{tmp_path}/none cannot be read: No such file or directory.")]
    (tmp_path / "token").write_text("short")
    (tmp_path / "token").chmod(0o600)
    of = settings(tmp_path, "[page]", 'token_file = "token"')
    assert said(of)[0][0] == "problem"
    assert "less than 16 characters" in said(of)[0][1]
    of = settings(tmp_path, "[page]", 'tls_certificate = "c"', 'tls_key = "k"')
    assert said(of) == [("problem", f"{tmp_path}/c or {tmp_path}/k cannot be read: No such file or directory.")]
