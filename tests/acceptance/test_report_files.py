"""The report of a real run as a file: its figures are those of the audit trail and of the flight recorder."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guard.journal import Reader
from tests.acceptance.house import House
from tests.command import command
from tests.unit.test_show_record import Page

pytestmark = pytest.mark.acceptance


def recorded(house: House) -> tuple[list[float], dict[str, list[int]]]:
    """Each value of the load on the tape, counted by hand; and the last progress of each run."""
    values: dict[float, float] = {}
    progress: dict[str, list[int]] = {}
    for frame in Reader(house.directory / "state/recorder.sqlite").frames("main"):
        values |= {taken_at: value for _, value, taken_at, _, _ in frame.get("s", ()) if value is not None}
        progress |= frame.get("p", {})
    return list(values.values()), progress


def assert_page_says(page: Page, told: dict[str, Any]) -> None:
    """The page and `report --json` have the same figures."""
    run, (signal,) = told["run"], told["readings"]["signals"]
    expected = {
        "data-outcome": "done", "data-rows": run["rows_done"], "data-batches": run["batches_done"],
        "data-pauses": len(told["pauses"]), "data-paused-seconds": told["paused_seconds"],
        "data-signal": signal["sensor"], "data-readings": signal["readings"], "data-worst": signal["worst"]["value"],
    }  # fmt: skip
    for stage in signal["stages"]:
        expected |= {f"data-{stage['stage']}-{key}": stage[key] for key in ("count", "median", "worst")}
    assert {key: page.data(key) for key in expected} == {key: [str(value)] for key, value in expected.items()}
    assert page.data("data-seconds") == [str(each["seconds"]) for each in told["phases"]]


def paused_and_done(house: House) -> None:
    """A run that was paused by the guard, by an operator too, and has come to its end."""
    house.more = '[migration.backfill]\nsoak = "0s"'
    house.database.execute("update progress set total = 400")
    house.serve()
    migration = house.wait_migrating()
    house.load(9)
    house.wait_event("effective")
    house.database.execute(
        "select migration_guard.order_pause('backfill', 'anna <b>', 'a | sale', now() + interval '600ms')"
    )
    house.load(0)
    house.wait_event("resumed")
    assert migration.wait(40) == 0
    house.wait_event("ended")


def test_the_report_of_a_run_is_a_file_whose_figures_are_those_of_the_trail_and_of_the_recorder(house: House) -> None:
    paused_and_done(house)
    page_file, notes = house.directory / "report.html", house.directory / "report.md"
    files = ("--html", str(page_file), "--markdown", str(notes))
    ended = command("report", "backfill", "-c", str(house.file), "--json", *files)
    assert (ended.code, ended.err.count("Wrote ")) == (0, 2), ended.said
    told = json.loads(ended.out)

    values, progress = recorded(house)
    (signal,), run = told["readings"]["signals"], told["run"]
    assert (signal["readings"], signal["worst"]["value"], signal["past"]) == (len(values), 9.0, ["pause"])
    assert [each["stage"] for each in signal["stages"]][:3] == ["before", "running", "paused"]
    assert told["readings"]["progress"]["rows"] == run["rows_done"] == progress[str(run["run_id"])][0] == 400
    (_, paused, because), (_, resumed, _) = house.wait_event("paused"), house.wait_event("resumed")
    assert told["paused_seconds"] == pytest.approx(resumed - paused, abs=0.002)

    page = Page(page_file.read_text())
    assert page.open == []
    assert_page_says(page, told)
    assert because in page.words
    assert "anna <b>" in page.words
    assert "b" not in {tag for tag, _ in page.tags}
    assert "phase ordered" in page.data("class")
    assert r"| anna \<b\> | pause |" in notes.read_text()

    # With a copy of the recorder's file it can be made elsewhere, and takes the place of the older one.
    words = ("report", "backfill", "--dsn", house.database.dsn())
    copied = command(*words, "--journal", str(house.directory / "state"), "--json", "--html", str(page_file))
    assert (copied.code, json.loads(copied.out)["readings"]["signals"]) == (0, told["readings"]["signals"]), copied.said
    afar = Page(command(*words, "--html", "-").out)
    assert afar.data("data-paused-seconds") == page.data("data-paused-seconds")
    assert "No readings: the flight recorder is found by" in afar.words
