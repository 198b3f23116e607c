"""A command as a process under its keeper: its output and its end are passed on, and all of it ends."""

import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from guard.exec.child import KEPT, Child, NotStarted, Task
from guard.exec.keeper import members
from tests.acceptance.processes import ROOT
from tests.waiting import wait_for


def task(*command: str) -> Task:
    return Task(command, os.environ, conninfo="", mark="migration:m", query="")


def python(program: str) -> Task:
    return task(sys.executable, "-c", program)


def test_both_streams_are_passed_on_and_the_end_of_them_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    program = (
        "import sys; print('psql:a.sql:1: ERROR:  first'); "
        f"print('INSERT 0 1\\n' * {KEPT // 11 + 100}); print('last'); print('wrong', file=sys.stderr); sys.exit(7)"
    )
    with Child(python(program)) as child:
        assert child.ended(20)
        assert child.end(1) == []
    assert child.code == 7
    out, err = capfd.readouterr()
    assert (out.count("INSERT"), err) == (KEPT // 11 + 100, "wrong\n")
    assert KEPT < len(child.output) < KEPT + 100
    assert "last\n" in child.output
    # Of what came before it, the errors; a script that goes on after one may well exit with 0.
    assert child.output.startswith("psql:a.sql:1: ERROR:  first\n")


def test_what_cannot_be_started_says_why() -> None:
    # By its place: on a PATH there may be directories that nobody may read.
    with pytest.raises(NotStarted, match="/no/such/program: FileNotFoundError: No such file or directory"):
        Child(task("/no/such/program"))


# Scripts of package managers are in a process group of their own, what makes itself a service in a session of its own.
FAMILY = """
import signal, subprocess, sys, time
for options in ({}, {"process_group": 0}, {"start_new_session": True}):
    subprocess.Popen(["sleep", "600"], **options)
print("started", flush=True)
DEAF
time.sleep(600)
"""


def family(child: Child) -> list[int]:
    return members(child.keeper, but=child.keeper)


def test_a_signal_reaches_every_process_whatever_its_group_and_session() -> None:
    with Child(python(FAMILY.replace("DEAF", ""))) as child:
        wait_for(lambda: len(family(child)) == 4, within=20)
        child.signal(signal.SIGINT)
        assert child.ended(20)
        assert child.end(1) == []
    assert child.code == -signal.SIGINT


def test_who_does_not_hear_is_killed_and_named() -> None:
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)"
    with Child(python(FAMILY.replace("DEAF", deaf))) as child:
        wait_for(lambda: "deaf" in child.output, within=20)
        leader = next(pid for pid in family(child) if os.getpgid(pid) == pid)
        assert child.end(0.2) == [leader]
        assert child.code == -signal.SIGKILL


def test_a_keeper_that_is_killed_takes_the_command_along() -> None:
    with Child(python("import time; time.sleep(600)")) as child:
        pids = family(child)
        assert len(pids) == 1
        os.kill(child.keeper, signal.SIGKILL)
        assert child.ended(20)
        assert child.lost
        wait_for(lambda: not Path(f"/proc/{pids[0]}").exists() or not family(child), within=20)
        assert child.code is None


def test_at_a_terminal_the_command_is_at_a_terminal_too() -> None:
    ours, theirs = os.openpty()
    program = (
        "import os, sys; from guard.exec.child import Child, Task\n"
        "told = 'import os, sys; print(os.isatty(1), os.get_terminal_size(1).columns)'\n"
        "with Child(Task([sys.executable, '-c', told], os.environ, conninfo='', mark='m', query='')) as child:\n"
        "    child.ended(20); child.end(1)\n"
    )
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 77, 0, 0))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", program], stdout=theirs, timeout=40, check=True, env=environment)
    assert b"True 77" in os.read(ours, 1000)
    os.close(ours)
    os.close(theirs)
