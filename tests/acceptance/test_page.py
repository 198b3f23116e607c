"""The status page of the real daemon: what it shows, whom it refuses, and that the guard does not suffer from it."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from guard.daemon.service import STOP_WITHIN
from guard.demo.server import free_port
from tests.acceptance.house import House
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance

BUSY = 4.0
"""Seconds that a busy machine may add."""


def follow(port: int) -> socket.socket:
    """Somebody who asks to be told of events."""
    line = socket.create_connection(("127.0.0.1", port), timeout=20)
    line.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return line


def parts(line: socket.socket) -> Iterator[dict[str, str]]:
    """What is told, as it comes."""
    with line.makefile("rb") as stream:
        for each in stream:
            if each.startswith(b"data: {"):
                yield json.loads(each[6:])


def said(house: House) -> str:
    return house.processes[0].text()


@pytest.mark.fault(66)
def test_a_run_is_shown_and_followed_and_strangers_are_refused(house: House) -> None:
    port = free_port()
    house.more = f'[page]\nlisten = "127.0.0.1:{port}"\nhosts = ["guard.example"]\n'
    house.serve()
    run = house.wait_migrating()
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, trust_env=False, timeout=20) as client:
        wait_for(
            lambda: 'data-phase="running"' in client.get("/").text, within=20, message=lambda: client.get("/").text
        )
        assert client.get("/", headers={"host": "evil.com"}).status_code == 421
        assert client.get("/", headers={"host": "guard.example"}).status_code == 200
        assert client.post("/", headers={"origin": "null"}, data={"order": "abort"}).status_code == 405
        assert client.get("/../../etc/passwd").status_code == 404
        assert client.get("/healthz").status_code == 200

        line = follow(port)
        house.load(9)
        told = next(each["html"] for each in parts(line) if 'data-phase="paused"' in each["html"])
        at = time.time()
        assert at - house.wait_event("paused")[1] < 1.0 + BUSY
        assert "load" in told
        # As it is copied: each word is an element of its own, so that a telephone breaks the line between words only.
        assert "migration-guard override backfill --reason WHY --for 30m" in re.sub("<[^>]*>", "", told)
        line.close()

        run_id = house.database.execute("select max(run_id) from migration_guard.run")[0][0]
        html = client.get(f"/run/main/{run_id}").text
        assert 'data-phase="paused"' in html
        assert "pause &gt; 5" in html
        assert client.get("/run/main/999999").status_code == 404
    house.load(0)
    house.wait_order("proceed")
    house.assert_kept_to_orders(run)


@pytest.mark.fault(4, 66)
def test_a_page_that_cannot_be_shown_costs_no_guard_and_one_that_many_follow_costs_no_time_at_the_end(
    house: House, tmp_path: Path
) -> None:
    port = free_port()
    taken = socket.create_server(("127.0.0.1", port))
    house.more = f'[page]\nlisten = "127.0.0.1:{port}"\n'
    daemon = house.serve()
    house.wait_migrating()
    daemon.wait_says("cannot be listened at: Address already in use")
    wait_for(
        lambda: "the status page" in str(house.database.execute("select report from migration_guard.report")),
        within=20,
        message=lambda: f"the trouble in the report; {said(house)[-2000:]}",
    )

    # A reload takes up another place, and a token.
    token = tmp_path / "page-token"
    token.touch(mode=0o600)
    token.write_text("0123456789abcdef")
    other = free_port()
    house.more = f'[page]\nlisten = "127.0.0.1:{other}"\ntoken_file = "{token}"\n'
    house.write()
    daemon.send(signal.SIGHUP)
    daemon.wait_says(f"the status page is at 127.0.0.1:{other}", within=20)
    taken.close()
    url = f"http://127.0.0.1:{other}/"
    assert httpx.get(url, trust_env=False).status_code == 401
    assert httpx.get(url, trust_env=False, auth=("anna", "0123456789abcdef")).status_code == 200
    assert "0123456789abcdef" not in said(house)

    token.unlink()
    house.more = f'[page]\nlisten = "127.0.0.1:{other}"\n'
    house.write()
    daemon.send(signal.SIGHUP)
    wait_for(lambda: _answer(url) == "200", within=20, message=lambda: f"{_answer(url)}; {said(house)[-2000:]}")
    followers = [follow(other) for _ in range(30)]  # that never read
    silent = [socket.create_connection(("127.0.0.1", other)) for _ in range(10)]
    began = time.monotonic()
    daemon.send(signal.SIGTERM)
    assert daemon.wait() == 0
    assert time.monotonic() - began < STOP_WITHIN
    assert house.lease()["mode"] == "released"
    assert "Traceback" not in said(house)
    for line in (*followers, *silent):
        line.close()


def _answer(url: str) -> str:
    try:
        return str(httpx.get(url, trust_env=False).status_code)
    except httpx.HTTPError as error:
        return repr(error)
