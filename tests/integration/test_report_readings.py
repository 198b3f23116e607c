"""The readings of a report: whatever the recorder's file is like, a report goes without and says why."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from guard.cli.recorded import Span, readings_of
from guard.cli.where import Target
from guard.journal import Recorder
from guard.ports import Frame

STATE = {"migration": "m", "run_id": 1, "phase": "running", "because": "all is well", "since_wall": 0.0}
HERE = Target("main", "")


@pytest.fixture
def began() -> float:
    return time.time() - 100


def write(directory: Path, began: float, **more: Any) -> None:
    """A tape of one run, with a reading of 3."""
    recorder = Recorder(directory / "recorder.sqlite")
    whole = {"why": "start", "states": [STATE], "limits": []}
    body = {"n": 0, "t": 50.0, "w": began + 1, "whole": whole, "s": [["lag", 3.0, 49.5, "", []]], **more}
    recorder.of("main")(Frame(began + 1, body, (("m", 1),), whole=True, urgent=True))
    recorder.close()


def missing(place: Path | None, began: float) -> str:
    return readings_of(HERE, Span("m", 1, began, began + 10), place).missing


def test_a_tape_is_read_by_its_file_or_its_directory_and_by_whatever_name_it_knows_the_database(
    tmp_path: Path, began: float
) -> None:
    write(tmp_path, began)
    for place in (tmp_path, tmp_path / "recorder.sqlite"):
        for name in ("main", "app"):  # by a DSN alone nobody says how the file calls it
            found = readings_of(Target(name, ""), Span("m", 1, began, began + 10), place)
            assert found.missing == ""
            assert found.timeline is not None
            (signal,) = found.timeline.signals
            assert [(round(point.wall - began, 3), point.value) for point in signal.points] == [(0.5, 3.0)]


def test_a_run_is_drawn_whole_although_the_clocks_of_guard_and_server_differ(tmp_path: Path, began: float) -> None:
    write(tmp_path, began - 40)
    found = readings_of(HERE, Span("m", 1, began, began + 10), tmp_path).timeline
    assert found is not None
    assert len(found.signals[0].points) == 1
    assert began - 45 < found.since < began - 39.5
    assert began + 10 < found.until < began + 20


def test_what_cannot_be_read_is_said_and_nothing_is_raised(tmp_path: Path, began: float) -> None:
    assert "--journal" in missing(None, began)
    assert "nothing has been recorded there" in missing(tmp_path / "nowhere", began)
    (tmp_path / "recorder.sqlite").write_bytes(b"no database" * 1000)
    assert "cannot be read" in missing(tmp_path, began)
    others: list[dict[str, Any]] = [{"n": None}, {"whole": {}}, {"s": [["lag", "3", 49.5, "", []]]}, {"s": [[1]]}]
    for number, other in enumerate(others):
        directory = tmp_path / str(number)
        write(directory, began, **other)
        assert "cannot" in missing(directory, began), other


def test_a_run_that_is_not_on_the_tape_is_not_taken_for_one_with_the_same_number(tmp_path: Path, began: float) -> None:
    write(tmp_path, began)
    assert "nothing of this run is in" in missing(tmp_path, began - 86_400)
    assert "nothing of this run is in" in readings_of(HERE, Span("other", 1, began, began + 10), tmp_path).missing
