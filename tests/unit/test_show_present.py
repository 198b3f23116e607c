"""A run that goes on is drawn up to now, though the record is written but now and then."""

from __future__ import annotations

import re

import pytest

from guard.show import coursepage
from guard.show.coursepage import Course
from guard.show.timeline import Band, Present, Timeline, up_to

WALL = 1_790_000_000.0
RECORD = Timeline(
    "main", "m", 1, WALL, WALL + 50, bands=(Band("running", WALL, WALL + 40), Band("paused", WALL + 40, None, "lag"))
)


def kinds(timeline: Timeline) -> list[tuple[str, float, float | None]]:
    return [
        (band.kind, band.since - WALL, None if band.until is None else band.until - WALL) for band in timeline.bands
    ]


def test_a_phase_that_lasts_is_drawn_on_to_now_and_how_far_the_record_goes_is_known() -> None:
    drawn = up_to(RECORD, Present(WALL + 58, "paused", WALL + 40.3, "lag"))
    assert drawn.bands == RECORD.bands
    assert (drawn.until, drawn.recorded) == (WALL + 58, WALL + 50)


@pytest.mark.parametrize("phase", ["running", "paused"])
def test_a_phase_that_the_record_does_not_have_yet_ends_the_one_before(phase: str) -> None:
    drawn = up_to(RECORD, Present(WALL + 58, phase, WALL + 55, "new"))
    assert kinds(drawn) == [("running", 0, 40), ("paused", 40, 55), (phase, 55, None)]
    assert drawn.bands[-1].because == "new"


def test_a_run_of_which_no_phase_is_recorded_has_its_present_one_and_nothing_is_before_the_drawing() -> None:
    bare = Timeline("main", "m", 1, WALL, WALL + 50)
    assert kinds(up_to(bare, Present(WALL + 58, "running", WALL - 900, ""))) == [("running", 0, None)]


def test_a_clock_that_was_set_back_makes_no_drawing_shorter() -> None:
    assert up_to(RECORD, Present(WALL - 500, "running", WALL - 510, "")).until == WALL + 50
    assert kinds(up_to(RECORD, Present(WALL - 500, "running", WALL - 510, "")))[-1] == ("running", 40, None)


def test_the_page_says_until_when_there_are_readings_and_until_when_it_is_drawn() -> None:
    drawn = up_to(RECORD, Present(WALL + 58, "paused", WALL + 40, "lag"))
    said, before = (
        " ".join(re.sub("<[^>]*>", " ", coursepage.part(Course(each), 1)).split()) for each in (drawn, RECORD)
    )
    assert "whose last readings are of 2026-09-21 14:14:10 UTC ; drawn until 2026-09-21 14:14:18 UTC" in said
    assert "paused for 18 s so far" in said
    assert "up to 2026-09-21 14:14:10 UTC" in before
    assert "paused for 10 s so far" in before
