"""The flight recorder's tape on a real disk: what a kill leaves, what bounds it, and that a full disk stops nobody."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from guard.errors import WorldError
from guard.journal import Reader, Recorder
from guard.ports import Frame


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "recorder.sqlite"


def frame(number: int, *runs: tuple[str, int | None], urgent: bool = False, filler: str = "") -> Frame:
    body = {"n": number, "w": 1000.0 + number, "filler": filler}
    wall = time.time() + number
    return Frame(wall, body, runs, whole=number % 10 == 0, urgent=urgent)


def numbers(path: Path, migration: str | None = None) -> list[int]:
    reader = Reader(path)
    run = next((run for run in reader.runs("main") if run.migration == migration), None)
    return [int(body["n"]) for body in reader.frames("main", run)]


def test_a_run_is_read_from_the_last_whole_frame_before_it_while_the_recorder_still_writes(path: Path) -> None:
    recorder = Recorder(path)
    keep, other = recorder.of("main"), recorder.of("other")
    for number in range(40):
        keep(frame(number, *([("m", 1)] if 15 <= number < 25 else []), urgent=number in {14, 24, 39}))
    other(frame(0, urgent=True))
    assert numbers(path, "m") == list(range(10, 25))
    assert numbers(path) == list(range(40))
    assert Reader(path).databases() == ("main", "other")
    assert {run.migration: run.run_id for run in Reader(path).runs("main")} == {"m": 1}
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    recorder.close()
    assert numbers(path, "m") == list(range(10, 25))


def test_a_time_is_read_from_the_last_whole_frame_before_it_and_of_its_own_database_alone(path: Path) -> None:
    recorder = Recorder(path)
    keep, other = recorder.of("main"), recorder.of("other")
    began = time.time()
    for number in range(40):
        keep(frame(number, urgent=True))
        other(frame(number, urgent=True))
    recorder.close()

    def read(since: float, until: float) -> list[int]:
        return Reader(path).between(
            "main", began + since, began + until, lambda each: [int(body["n"]) for body in each]
        )

    assert read(15.5, 24.5) == list(range(10, 25))
    assert read(-50.0, 3.5) == list(range(4))
    assert read(100.0, 200.0) == list(range(30, 40))


def test_the_oldest_is_let_go_by_size_and_by_age(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(path, most_bytes=100_000)
    keep = recorder.of("main")
    for number in range(100):
        keep(frame(number, urgent=True, filler=os.urandom(2000).hex()))
    kept = numbers(path)
    assert kept == list(range(kept[0], 100))
    assert 30 < len(kept) < 50
    monkeypatch.setattr("guard.journal.tape.OLDEST", -99.5)
    keep(frame(200, urgent=True))
    assert numbers(path) == [200]
    recorder.close()


_WRITER = """
import sys
from pathlib import Path
from guard.journal import Recorder
from guard.ports import Frame
keep = Recorder(Path(sys.argv[1])).of("main")
number = int(sys.argv[2])
while True:
    keep(Frame(1e12, {"n": number}, (), whole=number % 10 == 0, urgent=number % 3 == 0))
    if number % 3 == 0:
        print(number, flush=True)
    number += 1
"""


@pytest.mark.fault(8)
def test_a_kill_loses_no_frame_that_decided_something_and_harms_no_other(path: Path) -> None:
    begin, written = 0, -1
    for lines in (1, 20, 50):
        command = [sys.executable, "-c", _WRITER, str(path), str(begin)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout
            for _ in range(lines):
                written = int(writer.stdout.readline())
            os.kill(writer.pid, signal.SIGKILL)
        kept = numbers(path)
        assert kept == list(range(kept[-1] + 1))
        assert kept[-1] >= written
        begin = kept[-1] + 1


@pytest.mark.fault(15)
def test_a_full_disk_stops_nothing_and_what_waits_meanwhile_is_written_once_there_is_room(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(path, again_after=0.0)
    keep = recorder.of("main")
    keep(frame(0, urgent=True))
    full = recorder._db
    assert full is not None
    full.execute("PRAGMA max_page_count = 1")
    keep(frame(1, urgent=True, filler=os.urandom(9000).hex()))
    assert "full" in recorder.trouble
    keep(frame(2, urgent=True))
    assert recorder.trouble == ""
    assert numbers(path) == [0, 1, 2]
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1
    recorder.close()


def test_frames_that_never_find_room_are_bounded_and_a_directory_that_comes_is_used(tmp_path: Path) -> None:
    tmp_path.joinpath("state").write_text("a file where the directory should be")
    path = tmp_path / "state" / "recorder.sqlite"
    recorder = Recorder(path, again_after=0.0)
    keep = recorder.of("main")
    for number in range(2500):
        keep(frame(number, urgent=number % 500 == 0))
    assert recorder.trouble
    tmp_path.joinpath("state").unlink()
    recorder.close()
    assert numbers(path) == list(range(500, 2500))


def test_a_broken_tape_is_put_aside_and_a_new_one_begun(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database at all" * 100)
    recorder = Recorder(path)
    recorder.of("main")(frame(0, urgent=True))
    recorder.close()
    assert numbers(path) == [0]
    assert path.with_name("recorder.sqlite.unreadable").exists()


def test_a_frame_that_cannot_be_written_is_dropped_and_those_after_it_are_kept(path: Path) -> None:
    recorder = Recorder(path)
    keep = recorder.of("main")
    keep(Frame(1e12, {"n": object()}, (), whole=False, urgent=True))
    keep(frame(1, urgent=True))
    recorder.close()
    assert numbers(path) == [1]


def test_what_cannot_be_read_is_said_in_a_sentence(path: Path) -> None:
    with pytest.raises(WorldError, match="nothing has been recorded"):
        Reader(path).databases()
    path.parent.mkdir()
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(WorldError, match="cannot be read"):
        Reader(path).databases()
    path.unlink()
    sqlite3.connect(path).close()
    with pytest.raises(WorldError, match="no such table"):
        Reader(path).databases()
