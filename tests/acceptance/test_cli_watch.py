"""`watch` beside a guard and a migration at work: in a terminal, and with its output in a file."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.acceptance.conftest import Alone
from tests.shipped import as_operator
from tests.terminal import Terminal
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance

Piped = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def piped(tmp_path: Path) -> Iterator[Piped]:
    """``piped(dsn)``: a watch whose output goes to the file `said`."""
    with ExitStack() as ends, (tmp_path / "said").open("wb") as said:

        def start(dsn: str) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                [sys.executable, "-m", "guard", "watch"],
                stdout=said,
                stderr=said,
                env={**os.environ, "MIGRATION_GUARD_DSN": dsn},
            )
            ends.callback(process.wait, 10)
            ends.callback(process.kill)
            return process

        yield start


def test_a_watch_follows_a_run_through_a_pause_the_guards_death_and_a_restart_of_the_server(
    alone: Alone, piped: Piped, tmp_path: Path
) -> None:
    house, cluster = alone()
    dsn = as_operator(house.database.dsn())
    daemon = house.serve()
    house.wait_migrating()
    lines, terminal = piped(dsn), Terminal("watch", environment={"MIGRATION_GUARD_DSN": dsn})
    try:
        terminal.wait_shows("LIVE", "RUNNING", "backfill (run ", "/s ", "load")
        wait_for(lambda: "RUNNING" in (tmp_path / "said").read_text(), within=20)
        house.load(9)
        shown = terminal.wait_shows(
            "PAUSED", "why", "load (http) 9 > 5", "goes on", "override backfill", "backfill paused"
        )
        assert max(map(len, shown.splitlines())) <= 80
        looking = "select count(*) from pg_stat_activity where application_name = 'migration_guard/cli'"
        assert house.database.execute(looking) == [(2,)], "each watch has one connection"
        terminal.resize(60, 20)
        shown = terminal.wait_shows("PAUSED", "…")
        wait_for(lambda: max(map(len, terminal.picture.splitlines())) <= 60)
        assert len(terminal.wait_shows("PAUSED").splitlines()) <= 20
        house.load(0)
        terminal.wait_shows("RUNNING")
        terminal.resize(100, 40)
        daemon.kill()
        cluster.primary.stop("fast")
        terminal.wait_shows("NOT REACHED", "as it was at ")
        cluster.primary.start()
        terminal.wait_shows("DEAD", "since ", "what happened")
        terminal.type("\x03")
        assert terminal.wait() == 0
        shown = terminal.said
    finally:
        terminal.close()
    end = shown.rpartition("\x1b[?1049l")[2]
    assert "\x1b[?25h" in shown.rpartition("\x1b[?25l")[2], "the cursor is hidden"
    assert "DEAD" in end, "the last picture is gone"
    assert "Traceback" not in shown
    _plain_lines_told_it_too(lines, tmp_path / "said")


def _plain_lines_told_it_too(process: "subprocess.Popen[bytes]", file: Path) -> None:
    wait_for(lambda: "DEAD: " in file.read_text(), within=15, message=file.read_text)
    process.send_signal(signal.SIGINT)
    assert process.wait(15) == 0, file.read_text()
    said = file.read_text()
    story = ["LIVE", "backfill (run ", "RUNNING", "backfill paused: load (http) 9 > 5", "backfill resumed"]
    story += ["NOT REACHED", "it answers again", "DEAD"]
    at = [said.find(words) for words in story]
    assert at == sorted(at), said
    assert at[0] >= 0, said
    assert "\x1b" not in said
    assert "Traceback" not in said
    assert said.count("backfill paused") == 1, said
