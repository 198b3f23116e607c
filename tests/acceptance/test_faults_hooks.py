"""Rollback hooks that cannot run, or say that all is well when it is not: the daemon starts all the same, and tells."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.house import House
from tests.command import command
from tests.fix_matrix import Took

pytestmark = pytest.mark.acceptance

ERRORS = """
[[rule]]
name     = "errors"
http     = "{url}"
json     = "v"
pause    = "> 1%"
rollback = "> 5% for 300ms"
resume   = "< 1% for 300ms"
"""
MakeHook = Callable[..., Path]


@pytest.fixture
def make_hook(house: House, tmp_path: Path) -> MakeHook:
    """``make_hook("exit 0", 'verify = "select true"')``: the house's hook, with more lines of [rollback]."""

    def make(script: str, more: str = "") -> Path:
        path = tmp_path / "rollback"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        house.more = f'[rollback]\ncommand = ["{path}"]\ntimeout = "10s"\n{more}\n'
        house.rules = ERRORS
        return path

    return make


def roll_back(house: House) -> None:
    """A migration begins, and errors with it."""
    migrating = house.wait_migrating()
    house.wait_event("applied")
    house.load(0.08)
    assert migrating.wait(10) == 4


@pytest.mark.fault(54)
def test_a_hook_that_cannot_be_run_is_said_at_the_start_which_it_does_not_prevent_and_told_when_it_is_due(
    house: House, make_hook: MakeHook, took: Took
) -> None:
    hook = make_hook("exit 0")
    hook.chmod(0o600)
    daemon = house.serve()
    daemon.wait_says(f"[rollback] {hook}: is not executable (chmod +x {hook})")
    checked = command("check", "-c", str(house.file))
    assert (checked.code, "is not executable" in checked.out) == (3, True), checked.said
    roll_back(house)
    _, due, _ = house.wait_event("rolling_back")
    _, failed, _ = house.wait_event("rollback_failed")
    took(failed - due)
    assert house.order()["kind"] == "abort"
    house.assert_all_told()
    told = str(house.slack.requests[-1].payload)
    assert "could not be started: [Errno 13] Permission denied" in told
    assert "human must look" in told


@pytest.mark.fault(57)
def test_a_hook_that_says_0_while_the_database_is_not_as_it_should_be_is_told_as_unverified(
    house: House, make_hook: MakeHook, took: Took
) -> None:
    make_hook("exit 0", 'verify = "select not exists (select from public.done where upto > 0)"')
    house.database.execute("grant select on done to guard_login")
    checked = command("check", "-c", str(house.write()))
    assert "[rollback] verify can be asked; now it says yes" in checked.out, checked.said
    house.database.execute("revoke select on done from guard_login")
    checked = command("check", "-c", str(house.file))
    assert (checked.code, "verify: the verifying query failed" in checked.out) == (3, True), checked.said
    house.database.execute("grant select on done to guard_login")
    house.serve()
    roll_back(house)
    _, due, _ = house.wait_event("rolling_back")
    _, unverified, _ = house.wait_event("rollback_unverified")
    took(unverified - due)
    assert house.events("rolled_back") == []
    [(outcome, detail)] = house.database.execute("select outcome, detail from migration_guard.rollback")
    assert outcome == "unverified"
    assert detail.startswith("exit 0 after ")
    assert detail.endswith("but the verifying query returned false, not true")
    house.assert_all_told()
    told = str(house.slack.requests[-1].payload)
    assert "backfill rollback could not be verified" in told
    assert "human must look" in told
