"""The daemon under a real systemd: started, watched, reloaded, stopped, and told of when it dies."""

import time

import pytest

from tests.acceptance.house import NOISE
from tests.fix_matrix import Took
from tests.systemd.service import Service
from tests.waiting import wait_for

pytestmark = [pytest.mark.systemd, pytest.mark.root]


@pytest.mark.fault(2)
def test_a_wedged_daemon_is_killed_and_started_again_and_what_was_paused_stays_paused(
    service: Service, took: Took
) -> None:
    service.configure(watchdog="2s")
    service.start()
    house = service.house
    service.wait_status("main: no migration runs")
    migrating = house.wait_migrating()
    service.wait_status("main: backfill running")
    house.load(9)
    _, paused, because = house.wait_event("paused")
    status = service.wait_status("main: backfill paused since ")
    assert because in status
    service.send("STOP")
    stopped = time.time()
    service.wait_restarted(1)
    took(time.time() - stopped)
    assert service.wait_status("main: backfill paused since ") == status
    assert "Watchdog timeout" in service.log()
    wait_for(lambda: "systemd's watchdog ended it (SIGABRT)" in service.told(), within=20, message=service.told)
    assert "the guard itself has died" in service.told()
    assert "systemd has started it again" in service.told()
    assert house.events("resumed") == []
    assert [at for at in migrating.starts if at > paused + NOISE] == []
    house.load(0)
    house.wait_event("resumed")
    migrating.wait_starts()
