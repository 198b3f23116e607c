"""What the daemon tells systemd, heard by a socket in its place: here without root and without systemd."""

import os
import signal
import time

import pytest

from guard.daemon import systemd
from guard.demo.proxy import Proxy
from tests.acceptance.house import NOISE, House
from tests.fix_matrix import Took
from tests.fix_notify import Notified
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance


@pytest.mark.fault(9)
def test_it_is_ready_alive_and_says_in_its_status_who_is_paused_why_and_that_a_reload_was_refused(
    house: House, notified: Notified, took: Took
) -> None:
    house.guard = 'idle_interval = "500ms"'
    daemon = house.serve(environment={"NOTIFY_SOCKET": str(notified.path)})
    wait_for(lambda: notified.values("WATCHDOG"), message="a sign of life")
    assert notified.values("READY") == ["1"]
    house.wait_migrating()
    house.load(9)
    _, _, because = house.wait_event("paused")
    wait_for(lambda: f"because {because}" in notified.values("STATUS")[-1], message=lambda: str(notified.lines[-3:]))
    assert notified.values("STATUS")[-1].startswith("main: backfill paused since ")
    right = house.file.read_text()
    house.file.write_text("nonsense = 1")
    at = time.time()
    daemon.send(signal.SIGHUP)
    wait_for(lambda: notified.values("READY", at), message="the end of the reload")
    took(time.time() - at)
    house.load(0)
    house.wait_event("resumed")
    wait_for(lambda: "backfill running" in notified.values("STATUS")[-1], message=lambda: str(notified.lines[-3:]))
    assert notified.values("STATUS")[-1].startswith("reload refused at ")
    house.file.write_text(right)
    daemon.send(signal.SIGHUP)
    wait_for(
        lambda: notified.values("STATUS")[-1] == "main: backfill running", message=lambda: str(notified.lines[-3:])
    )
    assert len(notified.values("WATCHDOG")) <= time.time() - at + 20
    daemon.send(signal.SIGTERM)
    assert daemon.wait(5) == 0
    assert notified.lines[-1][1:] == ("STOPPING", "1")


def test_a_daemon_whose_scheduler_asks_nothing_any_more_gives_no_sign_of_life_although_it_judges(
    house: House, notified: Notified
) -> None:
    house.guard = 'idle_interval = "500ms"'
    house.serve(environment={"NOTIFY_SOCKET": str(notified.path), "PYTHONPATH": _dead_scheduler(house)})
    fed = wait_for(lambda: notified.values("WATCHDOG"), message="a sign of life")
    house.wait_migrating()
    house.directory.joinpath("die").touch()
    time.sleep(1.5)  # what was asked before may still be told once
    since = time.time()
    house.wait_order("pause")
    time.sleep(2.0)
    assert fed
    assert notified.values("WATCHDOG", since) == []


def test_a_server_that_hangs_is_no_reason_to_be_taken_for_dead(
    house: House, notified: Notified, proxy: Proxy, took: Took
) -> None:
    house.guard = 'idle_interval = "500ms"\nprobe_deadline = "1s"'
    house.dsn = proxy.dsn(house.database.dsn("guard_login"))
    house.serve(environment={"NOTIFY_SOCKET": str(notified.path)})
    house.wait_migrating()
    proxy.freeze()
    frozen = time.time()
    # Two: the round of the first may have begun before.
    wait_for(lambda: len(notified.values("WATCHDOG", frozen + 0.5)) >= 2, within=15, message="signs of life")
    took(time.time() - frozen)
    assert time.time() - frozen < 2 * (0.1 + 2 * 1.0) * 2 + 2 * NOISE


def test_two_idle_intervals_longer_than_the_watchdog_make_the_daemon_ask_for_more_time_and_say_so(
    house: House, notified: Notified
) -> None:
    house.guard = 'idle_interval = "20s"'
    daemon = house.serve(environment={"NOTIFY_SOCKET": str(notified.path), "WATCHDOG_USEC": "30000000"})
    daemon.wait_says(
        "WatchdogSec=30s of the unit is too short for idle_interval and probe_deadline: asked systemd for 60s"
    )
    wait_for(lambda: notified.values("WATCHDOG_USEC"), message="what systemd is asked for")
    assert notified.values("WATCHDOG_USEC") == ["60000000"]


def test_a_line_feed_in_what_is_told_begins_no_message_of_its_own(
    notified: Notified, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(notified.path))
    systemd.tell(STATUS=f"x\nMAINPID={os.getpid()}\r\n" + "y" * 5000)
    wait_for(lambda: notified.lines, message="the message")
    [(_, key, value)] = notified.lines
    assert (key, value[:12]) == ("STATUS", "x MAINPID=" + str(os.getpid())[:2])
    assert len(value) == 1000


def _dead_scheduler(house: House) -> str:
    """A directory for PYTHONPATH, by which the scheduler dies as soon as a file is there."""
    code = (
        "import os, apscheduler.schedulers.base as base\n"
        "run = base.BaseScheduler._process_jobs\n"
        f"base.BaseScheduler._process_jobs = lambda self: 3600 if os.path.exists({str(house.directory / 'die')!r}) "
        "else run(self)\n"
    )
    directory = house.directory / "site"
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(code)
    return str(directory)
