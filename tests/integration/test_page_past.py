"""The runs of late and the course of one, as the page reads them from a real tape."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import time
from pathlib import Path

import pytest

from guard.journal import Recorder
from guard.show import coursepage, past
from guard.show.app import Desk
from guard.show.past import Archive
from tests import seen
from tests.fakes import World, a_run, make_rule


def recorded(tape: Path, ago: float = 0) -> None:
    """A run that was paused once and has ended, and one that goes on."""
    world, recorder = World(make_rule()), Recorder(tape)
    world.clock_set_by = time.time() - world.wall - ago  # what is older than a month is not kept
    world.guard.hands = dataclasses.replace(world.guard.hands, record=recorder.of("main"))
    world.runs = [a_run(1, "first")]
    world.tick(10)
    world.values["lag sensor"] = 9.0
    world.tick(5)
    world.values["lag sensor"] = 0.0
    world.tick(20)
    world.runs = [a_run(1, "first", outcome="done"), a_run(2, "second", rows_done=7)]
    world.tick(5)

    recorder.close()


def text(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def test_the_runs_of_late_are_listed_with_how_they_ended_newest_first(tmp_path: Path) -> None:
    recorded(tmp_path / "tape")
    archive = Archive(tmp_path / "tape")
    runs = {run.migration: run for run in archive.recent(["main", "nobody"])}
    assert (runs["first"].run_id, runs["first"].phase) == (1, "done")
    assert runs["second"].phase == "running"
    assert 30 < runs["first"].to_wall - runs["first"].from_wall < 60
    assert archive.recent(["main"]) == archive.recent(["main"])
    assert archive.recent([]) == ()
    assert [run.migration for run in archive.recent(["main"], {("main", 2)})] == ["first"]
    assert Archive(tmp_path / "none").recent(["main"]) == ()


def test_the_course_of_a_run_shows_its_signal_its_pause_and_why(tmp_path: Path) -> None:
    recorded(tmp_path / "tape")
    course = Archive(tmp_path / "tape").course("main", 1)
    assert course.timeline is not None
    assert [band.kind for band in course.timeline.bands][:4] == ["waiting", "running", "paused", "running"]
    html = coursepage.part(course, 1)
    assert html.count("<svg") == html.count("</svg>") >= 4
    assert "style=" not in html, "the page's own policy would refuse it"
    assert re.search(r"paused for [\d.]+ s", text(html))
    assert "lag 9 s &gt; 5s for 3s" in text(html)


def test_the_course_of_a_run_that_goes_on_ends_as_its_guard_has_it_now(tmp_path: Path) -> None:
    recorded(tmp_path / "tape", ago=100)

    async def drawn(*runs: dict[str, object]) -> str:
        desk = Desk(seen.Stage(seen.a_database("main", *runs)), tmp_path / "tape")
        html = ""
        try:
            for _ in range(20):  # each waits for a second at most
                if "<svg" in (html := await desk.course("main", 1)):
                    break
            return text(html)
        finally:
            desk.close()

    live = asyncio.run(drawn(seen.a_run(1, "paused", "first", since=time.time() - 30, because="just now")))
    assert re.search(r"paused for 3\d(\.\d)? s so far just now", live)
    for over in (asyncio.run(drawn()), asyncio.run(drawn(seen.a_run(1, "done", "first")))):
        assert "so far" not in over
        assert "drawn until" not in over


def test_of_a_long_run_the_end_is_drawn_and_the_way_to_the_whole_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(tmp_path / "tape")
    monkeypatch.setattr(past, "LONGEST", 20.0)
    course = Archive(tmp_path / "tape").course("main", 1)
    assert course.timeline is not None
    assert course.timeline.until - course.timeline.since < 25
    said = text(coursepage.part(course, 1))
    assert "The last 20 s of it; the whole: migration-guard report 1 --html FILE" in said


def test_a_run_that_is_not_recorded_and_a_tape_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    said = "Nothing of it is recorded yet: the flight recorder writes each ten seconds."
    assert text(coursepage.part(Archive(tmp_path / "none").course("main", 1), 1)) == said
    (tmp_path / "rubbish").write_bytes(b"rubbish" * 1000)
    assert "cannot be read" in text(coursepage.part(Archive(tmp_path / "rubbish").course("main", 1), 1))
