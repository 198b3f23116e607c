"""The guard itself is what fails: frozen, wedged, killed in the middle, asked to take up nonsense."""

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.house import FRESH_FOR, LEASE, NOISE, QUEUE, ROOT, House, Process
from tests.acceptance.scenario import Play
from tests.acceptance.test_acts import ERRORS
from tests.command import command
from tests.fix_matrix import Took
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance

STALE = 1.5
"""Seconds after which a reading of these tests is none, so that a short freeze makes it so."""


def stale_soon(house: House) -> None:
    house.rules = house.rules.replace("[[rule]]", f'[[rule]]\nstale_after = "{STALE:g}s"') + QUEUE


@pytest.mark.fault(3)
def test_a_guard_frozen_for_longer_than_its_readings_last_judges_none_of_them_when_it_wakes(play: Play) -> None:
    stale_soon(play.house)
    play.at(1).freeze("guard")
    play.at(1 + LEASE + STALE + 1).thaw("guard")
    play.proceeds(within=2)
    play.said("the guard itself stood still for")
    play.never("paused", "warned", "cancelled", "cannot_signal")
    play.all_told()
    assert any("stood still" in str(request.payload) for request in play.house.slack.requests)
    assert play.migration is not None
    beats_end = play.zero + 1 + LEASE + FRESH_FOR + NOISE
    assert [at for at in play.migration.starts if beats_end < at < play.fault_at] == []


@pytest.fixture
def sabotaged(house: House, tmp_path: Path) -> Callable[[], Process]:
    """``sabotaged()``: the daemon, which fails as files in the test's directory say."""

    def serve() -> Process:
        script = str(Path(__file__).with_name("sabotaged.py"))
        program = [sys.executable, script, str(tmp_path), "serve", "-c", str(house.write())]
        daemon = Process(program, tmp_path / "daemon.log", {"PYTHONPATH": str(ROOT)})
        house.processes.append(daemon)
        daemon.wait_says("guarding ")
        return daemon

    return serve


def wait_blocked(tmp_path: Path, seconds: float) -> float:
    """Have the daemon's loop stand still for so long; the wall time at which it goes on."""
    wish = tmp_path / "block.new"
    wish.write_text(str(seconds))
    wish.rename(tmp_path / "block")
    wait_for(lambda: not (tmp_path / "block").exists())
    end = time.time() + seconds
    wait_for(lambda: time.time() > end, within=seconds + 1)
    return end


@pytest.mark.fault(14)
def test_a_loop_that_stands_still_is_noticed_and_nothing_is_decided_on_what_was_read_before(
    house: House, sabotaged: Callable[[], Process], tmp_path: Path, took: Took
) -> None:
    stale_soon(house)
    daemon = sabotaged()
    migrating = house.wait_migrating()
    house.wait_event("applied")
    before = house.events()
    woken = wait_blocked(tmp_path, LEASE + 1)
    wait_for(lambda: [at for at in migrating.starts if at > woken], message=lambda: str(house.events()))
    took(min(at for at in migrating.starts if at > woken) - woken)
    daemon.wait_says("the guard itself stood still for ")
    wait_for(lambda: "stood still" in str([request.payload for request in house.slack.requests]))
    assert house.events() == before
    house.load(9)
    asked = time.time()
    assert house.wait_event("paused")[1] < asked + 0.1 + NOISE
    house.assert_all_told()


@pytest.mark.fault(12)
def test_a_probe_that_fails_in_an_unforeseen_way_is_a_silence_and_the_daemon_lives(
    house: House, sabotaged: Callable[[], Process], tmp_path: Path, took: Took
) -> None:
    daemon = sabotaged()
    migrating = house.wait_migrating()
    (tmp_path / "raise").touch()
    with took.within(0.1 + 0.5 + NOISE):
        paused = house.wait_event("paused")
    assert "load (http) is unknown" in paused[2]
    assert "the probe failed: ZeroDivisionError" in paused[2]
    (tmp_path / "raise").unlink()
    house.wait_event("resumed")
    migrating.wait_starts()
    assert daemon.text().count("never thought of") >= 1
    house.assert_kept_to_orders(migrating)
    house.assert_all_told()


@pytest.mark.fault(9)
def test_a_wrong_file_changes_nothing_and_that_is_in_the_log_in_slack_and_found_by_check(
    house: House, took: Took
) -> None:
    daemon = house.serve()
    migrating = house.wait_migrating()
    house.file.write_text(house.file.read_text().replace('"> 5"', '"> nan"'))
    with took.within(2 + NOISE):
        daemon.send(signal.SIGHUP)
        daemon.wait_says("the configuration stays as it was")
        wait_for(lambda: "refused a reload" in str([request.payload for request in house.slack.requests]))
    assert command("check", "-c", str(house.file)).code == 2
    house.load(4)
    migrating.wait_starts()
    house.load(9)
    assert "> 5" in house.wait_event("paused")[2]
    house.assert_all_told()


@pytest.mark.fault(5)
def test_a_breach_older_than_what_the_run_applied_rolls_nothing_back_though_the_guard_is_killed_in_between(
    house: House, tmp_path: Path
) -> None:
    hook, ran = tmp_path / "rollback", tmp_path / "ran"
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
    hook.chmod(0o700)
    house.rules, house.more = ERRORS, f'[rollback]\ncommand = ["{hook}"]\n'
    daemon = house.serve()
    migrating = house.migrate(work=2.0)
    migrating.wait_starts(1)  # and nothing of it is applied for two seconds
    house.load(0.08)
    house.wait_event("rollback_due")
    house.wait_event("applied")
    daemon.kill()
    house.serve()
    wait_for(lambda: house.lease()["term"] == 2)
    led = time.time()
    wait_for(lambda: time.time() > led + 1.5)  # five times as long as the limit has to be breached
    assert house.events("rolling_back") == []
    assert len(house.events("rollback_due")) == 1
    assert not ran.exists()
    assert house.order()["kind"] == "pause"
    house.assert_all_told()
