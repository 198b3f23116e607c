"""The machine under the guard fails: no room on the disk, nobody who reads its output, no memory, another time."""

import contextlib
import fcntl
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.demo.child import Child
from tests.acceptance.house import NOISE, House, Process
from tests.command import command
from tests.fix_matrix import Took
from tests.tools import tool
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance


def assert_decides(house: House, took: Took) -> None:
    """A breach pauses the migration in time, and its end lets it go on."""
    paused, resumed = (len(house.events(kind)) for kind in ("paused", "resumed"))
    for load, kind, count in ((9, "paused", paused + 1), (0, "resumed", resumed + 1)):
        asked = time.time()
        house.load(load)
        at = house.wait_event(kind, count)[1]
        took(at - asked)
        assert at < asked + 0.1 + 0.3 + NOISE


# -- the disk ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(house: House) -> Iterator[Path]:
    """The state directory on a file system of one megabyte."""
    directory = house.directory / "state"
    directory.mkdir(mode=0o700)
    mounted = subprocess.run(
        [tool("mount"), "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(directory)], check=False
    )
    if mounted.returncode:
        pytest.skip("this root may not mount")
    yield directory
    house.close()
    subprocess.run([tool("umount"), "-l", str(directory)], check=True)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small file system")
@pytest.mark.fault(15)
def test_with_a_full_disk_it_goes_on_and_says_so_once_and_what_it_knew_outlasts_a_kill(
    house: House, small_disk: Path, took: Took
) -> None:
    daemon = house.serve()
    migrating = house.wait_migrating()
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    assert shutil.disk_usage(small_disk).free == 0
    assert_decides(house, took)
    wait_for(lambda: "has trouble with its disk" in str([request.payload for request in house.slack.requests]))
    house.assert_all_told()
    house.load(9)
    house.wait_event("paused", 2)
    ailing = "the flight recorder cannot be written (reported "
    wait_for(lambda: ailing in command("status", "-c", str(house.file)).out)
    told = house.order()
    daemon.kill()
    house.serve()
    assert house.wait_order("pause") == told
    house.load(0)
    house.wait_event("resumed", 2)
    migrating.wait_starts()
    house.assert_kept_to_orders(migrating)
    house.assert_all_told()
    said = {request.notice_id for request in house.slack.requests if "trouble with its disk" in str(request.payload)}
    assert len(said) <= 2  # one a daemon
    filler.unlink()
    house.processes[-1].send(signal.SIGTERM)
    assert house.processes[-1].wait(7) == 0
    assert assert_whole(house) <= set(house.slack.tried)


@pytest.mark.fault(15)
def test_a_journal_that_cannot_grow_stops_nothing_and_is_written_when_it_can_be(house: House, took: Took) -> None:
    daemon = house.serve()
    house.wait_migrating()
    _, hard = resource.prlimit(daemon.child.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(daemon.child.pid, resource.RLIMIT_FSIZE, (0, hard))
    assert_decides(house, took)
    wait_for(lambda: "has trouble with its disk" in str([request.payload for request in house.slack.requests]))
    resource.prlimit(daemon.child.pid, resource.RLIMIT_FSIZE, (hard, hard))
    daemon.send(signal.SIGTERM)
    assert daemon.wait(7) == 0
    house.assert_all_told()
    assert assert_whole(house) <= set(house.slack.tried)


def assert_whole(house: House) -> set[str]:
    """The journal is a sound file, and has notices; their ids."""
    with contextlib.closing(sqlite3.connect(house.directory / "state" / "journal.sqlite")) as db:
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
        kept = {row[0] for row in db.execute("select notice_id from outbox where channel = 'slack'")}
    assert kept
    return kept


# -- the output --------------------------------------------------------------------------------------------------------


class Piped(Process):
    """The daemon with a pipe for its output, which holds one page and is read by us or by nobody."""

    def __init__(self, house: House) -> None:
        fifo = house.directory / "output"
        os.mkfifo(fifo)
        self.reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        fcntl.fcntl(self.reader, fcntl.F_SETPIPE_SZ, 4096)
        command = [sys.executable, "-m", "guard", "serve", "-c", str(house.write())]
        # As under a service manager: its streams are buffered.
        self.child = Child(command, output=fifo, environment={"PYTHONUNBUFFERED": ""})
        self._seen = b""
        house.processes.append(self)

    def text(self) -> str:
        """All that was read, and now what is in the pipe."""
        with contextlib.suppress(BlockingIOError):
            self._seen += os.read(self.reader, 1 << 20)
        return self._seen.decode(errors="replace")


def chatter(daemon: Process, house: House) -> None:
    """Have it log more than a pipe holds, and more than it keeps."""
    right = house.file.read_text()
    house.file.write_text(right + "".join(f"nonsense{number} = 1\n" for number in range(99)))
    for _ in range(15):
        daemon.send(signal.SIGHUP)
        wait_for(lambda: not signal_pending(daemon.child.pid, signal.SIGHUP))
    taken = house.lease()["beat"]
    wait_for(lambda: house.lease()["beat"] > taken + 1)  # it has come to the end of all that it was asked
    house.file.write_text(right)


def signal_pending(pid: int, number: signal.Signals) -> bool:
    """Whether a signal still waits for the process: another of its kind would be lost."""
    waiting = re.findall(r"^(?:SigPnd|ShdPnd):\s+(\w+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return any(int(mask, 16) >> (number - 1) & 1 for mask in waiting)


@pytest.mark.fault(16)
@pytest.mark.parametrize("reader", ["asleep", "gone"])
def test_output_that_nobody_reads_stops_no_judgement_and_no_end(house: House, took: Took, reader: str) -> None:
    daemon = Piped(house)
    daemon.wait_says("guarding ")
    migrating = house.wait_migrating()
    if reader == "gone":
        os.close(daemon.reader)
    chatter(daemon, house)
    assert_decides(house, took)
    migrating.wait_starts()
    if reader == "asleep":
        daemon.wait_says("log lines were dropped: standard error was not read")
        chatter(daemon, house)
    asked = time.monotonic()
    daemon.send(signal.SIGTERM)
    assert daemon.wait(7) == 0
    assert time.monotonic() - asked < 5
    house.assert_kept_to_orders(migrating)


# -- memory ------------------------------------------------------------------------------------------------------------


@pytest.mark.fault(8)
def test_a_guard_without_memory_lets_nothing_through_and_the_next_one_finds_its_state_whole(house: House) -> None:
    daemon = house.serve()
    migrating = house.wait_migrating()
    house.load(9)
    house.wait_event("paused")
    told = house.order()
    size = int(Path(f"/proc/{daemon.child.pid}/statm").read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.prlimit(daemon.child.pid, resource.RLIMIT_AS)
    resource.prlimit(daemon.child.pid, resource.RLIMIT_AS, (size, hard))
    pinched = time.time()
    while time.time() < pinched + 2 and daemon.child.running:
        daemon.send(signal.SIGHUP)
        time.sleep(0.05)
    if daemon.child.running:
        daemon.kill()
    assert_whole(house)
    house.serve()
    assert house.wait_order("pause") == told
    house.load(0)
    house.wait_event("resumed")
    migrating.wait_starts()
    house.assert_kept_to_orders(migrating)
