"""The demonstration as a person runs it: right with its three faults, wrong without any one, and gone afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from guard.demo.embedded import Binaries
from guard.demo.waiting import wait_for
from tests.tools import tool

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]


@contextmanager
def demo(binaries: Binaries, tmp: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The demonstration on the chosen server programs, with all its files and servers below *tmp*."""
    tmp.chmod(0o1777)  # as /tmp is: whoever ends last deletes
    environment = {**os.environ, "TMPDIR": str(tmp), "MIGRATION_GUARD_PG_BIN": str(binaries.bin_dir)}
    with (tmp / "said").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "guard", "demo", *arguments],
            stdout=said,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


def said(tmp: Path) -> str:
    return (tmp / "said").read_text()


def left_in(tmp: Path) -> list[str]:
    """Processes that have a path below *tmp* on their command line, and what lies in it beside the output."""
    listed = subprocess.run([tool("ps"), "-ww", "-eo", "pid=,args="], capture_output=True, text=True, check=True).stdout
    processes = [line.strip() for line in listed.splitlines() if str(tmp) in line]
    return [*processes, *(str(path) for path in tmp.iterdir() if path.name != "said")]


def wrong_figures(tmp: Path) -> set[str]:
    return {line.split("│")[1].strip() for line in said(tmp).splitlines() if "WRONG" in line}


def test_the_demo_measures_itself_right_leaves_nothing_behind_and_keeps_the_report_that_was_asked_for(
    binaries: Binaries, open_tmp: Path, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    with demo(binaries, open_tmp, "--report", str(page)) as process:
        assert process.wait(180) == 0, said(open_tmp)
    assert "figures are right" in said(open_tmp)
    assert not wrong_figures(open_tmp)
    report = page.read_text()
    assert all(f'data-signal="{signal}' in report for signal in ("replication.lag", "http:shop errors"))
    wait_for(lambda: not left_in(open_tmp), within=15, message=lambda: "\n".join(left_in(open_tmp)))


@pytest.mark.parametrize(
    ("fault", "figure"),
    [
        ("lag", "standby stops replaying → paused (limit 2 s)"),
        ("locks", "migrations cancelled (server's log)"),
        ("errors", "runs of the rollback hook (its own log)"),
    ],
)
def test_the_demo_fails_without_any_one_of_its_faults(
    binaries: Binaries, open_tmp: Path, fault: str, figure: str
) -> None:
    with demo(binaries, open_tmp, "--without", fault) as process:
        assert process.wait(180) == 1, said(open_tmp)
    assert figure in wrong_figures(open_tmp), said(open_tmp)


@pytest.mark.parametrize(
    ("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_nothing_is_left_of_a_demo_that_is_interrupted(
    binaries: Binaries, open_tmp: Path, how: signal.Signals, code: int
) -> None:
    with demo(binaries, open_tmp) as process:
        wait_for(lambda: "FAULT 1" in said(open_tmp), within=90, message=lambda: said(open_tmp))
        assert any("serve" in line for line in left_in(open_tmp))
        process.send_signal(how)
        assert process.wait(60) == code, said(open_tmp)
    wait_for(lambda: not left_in(open_tmp), within=30, message=lambda: "\n".join(left_in(open_tmp)))
