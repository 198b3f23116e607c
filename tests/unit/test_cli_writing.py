"""A report as a file: whole or not at all, and never over what is somebody else's."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
import typer

from guard.cli.report import report
from guard.cli.writing import refuse_others, write
from guard.errors import WorldError


def test_a_new_an_empty_and_an_older_file_of_the_same_run_are_written_and_keep_their_mode(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write(path, "one of MARK-1", mark="MARK-1", force=False)
    path.chmod(0o640)
    write(path, "two of MARK-1", mark="MARK-1", force=False)
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("two of MARK-1", 0o640)
    path.write_text("")
    write(path, "three", mark="MARK-1", force=False)
    assert path.read_text() == "three"
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]


def test_a_file_that_is_not_a_report_of_this_run_is_kept_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "notes.md"
    path.write_text("my notes")
    with pytest.raises(WorldError, match=r"notes\.md is there already and is not a report of this run; --force"):
        write(path, "report", mark="MARK-1", force=False)
    assert path.read_text() == "my notes"
    write(path, "report", mark="MARK-1", force=True)
    assert path.read_text() == "report"


def test_a_link_is_followed_and_a_pipe_is_written_to(tmp_path: Path) -> None:
    link, path, pipe = tmp_path / "latest", tmp_path / "report", tmp_path / "pipe"
    path.write_text("MARK-1")
    link.symlink_to(path)
    write(link, "new", mark="MARK-1", force=False)
    assert link.is_symlink()
    assert path.read_text() == "new"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write(pipe, "through", mark="MARK-1", force=False)
    reader.join(timeout=10)
    assert read == ["through"]


def test_a_directory_that_is_not_there_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match=r"nowhere/report\.html cannot be written: No such file"):
        write(tmp_path / "nowhere" / "report.html", "x", mark="M", force=False)
    with pytest.raises(WorldError, match="cannot be written: Is a directory"):
        write(tmp_path, "x", mark="M", force=False)
    assert list(tmp_path.iterdir()) == []


def test_before_long_work_a_file_of_others_is_refused_and_a_report_of_ours_is_not(tmp_path: Path) -> None:
    path = tmp_path / "demo.html"
    refuse_others(path, "MARK")
    path.write_text("<meta content='MARK:fill-region/1/2'>")
    refuse_others(path, "MARK")
    path.write_text("mine")
    with pytest.raises(WorldError, match="is not a report of migration-guard"):
        refuse_others(path, "MARK")


def test_only_one_document_goes_to_standard_output() -> None:
    for more in ({"json": True, "html": Path("-")}, {"html": Path("-"), "markdown": Path("-")}):
        with pytest.raises(typer.BadParameter, match="only one of --json, --html - and --markdown -"):
            report("backfill", **more)
