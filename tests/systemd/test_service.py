"""The daemon under a real systemd: started, watched, reloaded, stopped, and told of when it dies."""

import time

import httpx
import pytest

from guard.demo.embedded import Server
from guard.demo.proxy import Proxy
from guard.demo.server import free_port
from tests.acceptance.house import NOISE, House
from tests.fix_matrix import Took
from tests.slack_server import HANG
from tests.systemd.machine import Machine
from tests.systemd.service import Service
from tests.waiting import wait_for

pytestmark = [pytest.mark.systemd, pytest.mark.root]


@pytest.mark.fault(2)
def test_a_wedged_daemon_is_killed_and_started_again_and_what_was_paused_stays_paused(
    service: Service, took: Took
) -> None:
    service.configure(watchdog="4s")
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
    assert "asked systemd for" not in service.log()
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


@pytest.mark.fault(9)
def test_a_wrong_file_fails_the_reload_leaves_the_old_one_in_force_and_is_in_the_status_until_it_is_mended(
    service: Service,
) -> None:
    # The sandbox of the unit lets it show its page, and hands it the token that only root can read.
    port, token = free_port(), "/etc/migration-guard/page-token"
    service.rollback = f'[page]\nlisten = "127.0.0.1:{port}"\ntoken_file = "{token}"\n'
    service.configure(more=f"LoadCredential=page-token:{token}\n")
    service.machine.write(token, "0123456789abcdef", "600")
    service.start()
    service.wait_log(f"the status page is at 127.0.0.1:{port}")
    page = f"http://127.0.0.1:{port}/"
    assert httpx.get(page, trust_env=False).status_code == 401
    assert httpx.get(page, trust_env=False, auth=("anna", "0123456789abcdef")).status_code == 200
    machine, house, right = service.machine, service.house, service.text()
    migrating = house.wait_migrating()
    wrong = right.replace('"> 5"', '"> 5 furlongs"')
    line = 1 + wrong.splitlines().index('pause   = "> 5 furlongs"')
    machine.write(service.file, wrong)
    assert machine.code("systemctl", "reload", service.unit) != 0
    assert f"{service.file}:{line}: " in service.log(), service.log()
    # Who sends the signal by hand hears of it as well, and not for a moment only.
    service.send("HUP")
    service.wait_status("reload refused at ")
    house.load(4)
    migrating.wait_starts(10)
    assert "reload refused at " in service.status
    assert "backfill running" in service.status
    machine.write(service.file, right.replace('"> 5"', '"> 3"'))
    machine.run("systemctl", "reload", service.unit)
    assert "> 3" in house.wait_event("paused", within=5)[2]
    assert "reload refused" not in service.status


def test_a_daemon_that_cannot_start_for_its_file_is_not_tried_again_and_people_are_told(service: Service) -> None:
    service.configure()
    service.machine.write(service.file, "nonsense = 1\n")
    assert service.machine.code("systemctl", "start", service.unit) != 0
    service.machine.wait_shown(service.unit, ActiveState="failed", Result="exit-code", NRestarts="0")
    wait_for(lambda: "it ended by itself (exit code 2)" in service.told(), within=20, message=service.told)
    assert "It is NOT running, and systemd does not start it again" in service.told()
    assert len(service.house.slack.requests) == 1


def test_a_guard_that_dies_again_and_again_is_told_of_once_in_a_while_for_each_reason(service: Service) -> None:
    service.configure()
    requests, start = service.house.slack.requests, ("systemctl", "start", "--no-block")
    killed, ended = (
        f"migration-guard-failed@{service.unit}:{how}.service" for how in ("signal:killed:KILL", "exit-code:exited:1")
    )
    service.machine.run(*start, killed)
    service.machine.run(*start, killed)
    wait_for(lambda: len(requests) == 1, message="the first death to be told")
    service.machine.run(*start, killed)
    service.machine.run(*start, ended)
    wait_for(lambda: "exit code 1" in service.told(), message="the other death to be told")
    assert len(requests) == 2


def test_a_daemon_that_cannot_guard_yet_is_tried_until_it_can_and_people_are_told_but_not_each_second(
    service: Service, primary: Server
) -> None:
    house, machine = service.house, service.machine
    house.dsn = primary.dsn("guard_login", "postgres")
    service.configure()
    assert machine.code("systemctl", "start", service.unit) != 0
    wait_for(lambda: "it ended by itself (exit code 3)" in service.told(), within=30, message=service.told)
    assert "It is NOT running yet; systemd starts it again and again" in service.told()
    wait_for(lambda: int(machine.shown(service.unit, "NRestarts")) >= 2, within=30, every=0.2)
    house.dsn = ""
    machine.write(service.file, service.text())
    machine.wait_shown(service.unit, 20, ActiveState="active", StatusText="main: no migration runs")
    assert len(service.house.slack.requests) == 1


@pytest.mark.fault(4)
def test_it_stops_in_time_with_exit_0_although_everything_hangs(service: Service, proxy: Proxy, took: Took) -> None:
    house = service.house
    house.dsn = proxy.dsn(house.database.dsn("guard_login"))
    house.slack.script += [HANG] * 20
    service.configure()
    service.start()
    house.wait_migrating()
    wait_for(lambda: house.slack.tried, message="Slack to be told of the start")
    proxy.freeze()
    with took.within(5 + NOISE):
        service.machine.run("systemctl", "stop", service.unit)
    shown = {name: service.machine.shown(service.unit, name) for name in ("ActiveState", "Result", "ExecMainStatus")}
    assert shown == {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"}


def test_an_instance_has_its_own_file_state_and_credentials_and_gets_the_time_that_its_idle_interval_needs(
    machine: Machine, house: House
) -> None:
    service = Service(machine, house, "shop")
    try:
        service.configure(watchdog="1s", idle="3s")
        service.start()
        service.wait_status("main: no migration runs")
        time.sleep(2.5)  # at rest for longer than the watchdog waited
        assert "asked systemd for " in service.log()
        assert machine.shown(service.unit, "NRestarts") == "0"
        house.wait_migrating()
        house.load(9)
        service.wait_status("main: backfill paused since ")
        wait_for(lambda: "paused" in service.told(), message=service.told)
        user = machine.run("stat", "-c", "%U %a", "/var/lib/private/migration-guard-shop/journal.sqlite")
        assert user in {"migration-guard-shop 600", "UNKNOWN 600"}, user
    finally:
        service.close()
