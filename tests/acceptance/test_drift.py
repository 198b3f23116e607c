"""Drift: the daemon learns while nobody migrates what is usual, and measures a run against it, also after a kill."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.acceptance.house import House
from tests.command import command
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance

RULE = """
[[rule]]
name    = "checkout"
http    = "{url}"
json    = "v"
pause   = "> 1.5x baseline and > 3"
resume  = "< 1.2x baseline for 300ms"
no_data = "pause for 500ms"
"""


def baseline(house: House) -> str:
    """As the newest report tells it."""
    [row] = [row for run in report(house)["runs"] if run["migration"] == "backfill" for row in run["verdicts"]]
    return str(row["baseline"])


def report(house: House) -> dict[str, Any]:
    return dict(house.database.execute("select report from migration_guard.report")[0][0])


def test_drift_from_what_was_read_before_the_run_pauses_and_a_kill_changes_not_what_it_is_measured_against(
    house: House,
) -> None:
    house.rules = RULE
    house.guard = 'idle_interval = "100ms"\nbaseline_window = "4s"\nbaseline_for = "1h"\n'
    house.load(4)
    daemon = house.serve()
    wait_for(
        lambda: len(house.endpoint.requests) >= 38, within=20, message="the endpoint to be read while all is quiet"
    )
    migrating = house.wait_migrating()
    learnt = baseline(house)
    assert learnt.startswith("baseline 4 (median of "), learnt
    house.load(5)  # past the floor, and no drift
    wait_for(lambda: len(migrating.starts) >= 3, within=10, message="batches")
    house.load(7)
    _, _, because = house.wait_event("paused")
    assert because.startswith("checkout (http) 7 > 1.5x baseline and > 3 ("), because
    assert because.endswith(learnt), because
    daemon.kill()
    house.serve()
    house.wait_order("pause")
    explained = command("explain", "backfill", "--dsn", house.database.dsn())
    assert f"    {learnt}\n" in explained.out
    assert "checkout (http) < 1.2x baseline for 300ms (baseline 4)" in explained.out  # and perhaps not yet read anew
    house.load(4)
    house.wait_event("resumed")
    assert (baseline(house), house.events("no_baseline")) == (learnt, [])
    house.assert_kept_to_orders(migrating)
    replayed = command("replay", "backfill", "-c", str(house.file), "--json")
    assert json.loads(replayed.out)["differs"] == "", replayed.said
