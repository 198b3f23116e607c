"""The rollback hook: at most once for a run, whoever dies meanwhile; and those that cannot be run at all."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from guard.act import hook_runner
from guard.act.rollback_hook import RollbackHook
from guard.ports import HookOutcome
from tests.fix_hooks import FACTS, MakeHook, pids_in, run
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


# -- at most once ------------------------------------------------------------------------------------------------------


def test_a_second_call_for_a_run_tells_the_first_outcome_and_starts_nothing(
    make_hook: MakeHook, tmp_path: Path
) -> None:
    hook = make_hook(f"echo x >> {tmp_path}/count; exit 4")
    assert hook.last_outcome(7) is None
    first = run(hook)
    assert run(hook) == first == make_hook("exit 0").last_outcome(7)
    assert (tmp_path / "count").read_text() == "x\n"


def test_calls_at_the_same_time_start_one_hook(make_hook: MakeHook, tmp_path: Path) -> None:
    hook = make_hook(f"echo x >> {tmp_path}/count; sleep 0.3")

    async def both() -> list[HookOutcome]:
        return list(await asyncio.gather(hook.run(FACTS), hook.run(FACTS)))

    first, second = asyncio.run(both())
    assert first == second
    assert first.ok
    assert (tmp_path / "count").read_text() == "x\n"


@pytest.mark.fault(56)
def test_the_hook_goes_on_when_its_caller_is_stopped_and_another_process_learns_how_it_ended(
    make_hook: MakeHook, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    hook = make_hook(f"while [ ! -e {go} ]; do sleep 0.05; done; echo finished")
    code = (
        "import asyncio, json, sys, pathlib; from guard.act.rollback_hook import RollbackHook as H;"
        "asyncio.run(H([sys.argv[1]], timeout=20, state_directory=pathlib.Path(sys.argv[2])).run({'run_id': 7}))"
    )
    with subprocess.Popen([sys.executable, "-c", code, hook.command[0], str(tmp_path)]) as daemon:
        wait_for(lambda: hook.running(7), message="the hook to start")
        daemon.kill()
    assert hook.running(7)
    assert hook.last_outcome(7) is None
    go.touch()
    outcome = wait_for(lambda: hook.last_outcome(7), message="the hook's end")
    assert outcome is not None
    assert (outcome.ok, outcome.output) == (True, "finished\n")


@pytest.mark.fault(56)
def test_a_start_without_an_end_is_unknown_and_never_started_again(
    make_hook: MakeHook, tmp_path: Path, mortal: Path
) -> None:
    hook = make_hook(f"echo x >> {tmp_path}/count; echo $$ $PPID > {mortal}; exec sleep 60")

    async def start_and_kill() -> HookOutcome:
        running = asyncio.create_task(hook.run(FACTS))
        _, supervisor = await asyncio.to_thread(wait_for, lambda: pids_in(mortal))
        os.kill(supervisor, signal.SIGKILL)
        return await running

    outcome = asyncio.run(start_and_kill())
    assert not outcome.ok
    assert outcome.words.startswith("unknown: ")
    assert run(hook) == outcome
    assert (tmp_path / "count").read_text() == "x\n"


@pytest.mark.fault(56)
def test_a_supervisor_that_is_slow_to_begin_is_never_taken_for_one_that_died(
    make_hook: MakeHook, tmp_path: Path
) -> None:
    hook = make_hook("exit 0")
    slow = (
        "import runpy, sys, time; sys.addaudithook(lambda event, _: time.sleep(0.3 * (event == 'fcntl.flock')));"
        "runpy.run_path(sys.argv[1], run_name='__main__')"
    )
    task = {"command": hook.command, "facts": FACTS, "environment": {}, "timeout": 5, "grace": 1, "keep": 99}
    task |= {"start": str(hook.files.start(7)), "result": str(hook.files.result(7)), "survivors": ""}
    hook.files.make_directory()
    command = [sys.executable, "-c", slow, hook_runner.__file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdin is not None
        json.dump(task, launcher.stdin)
        launcher.stdin.close()
        outcome = wait_for(lambda: hook.last_outcome(7), message="the hook's end")
    assert outcome is not None
    assert outcome.ok, outcome
    assert sorted(path.name for path in tmp_path.glob("rollback-7*")) == ["rollback-7.result", "rollback-7.start"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"ok": true}'])
def test_a_torn_result_is_unknown(make_hook: MakeHook, tmp_path: Path, content: str) -> None:
    (tmp_path / "rollback-7.result").write_text(content)
    outcome = make_hook("exit 0").last_outcome(7)
    assert outcome is not None
    assert (outcome.ok, outcome.words[:8]) == (False, "unknown:")


# -- what cannot be run ------------------------------------------------------------------------------------------------


def problem(hook: RollbackHook) -> str:
    (only,) = hook.check()
    return only


def test_a_sound_hook_has_no_problem(make_hook: MakeHook, tmp_path: Path) -> None:
    assert make_hook("exit 0").check() == ()
    assert RollbackHook(["/bin/sh", "-c", "exit 0"], timeout=1, state_directory=tmp_path).check() == ()


@pytest.mark.fault(54)
@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (None, 0, "No such file"),
        ("#!/bin/sh\n", 0o600, "is not executable"),
        ("echo no first line\n", 0o700, "has no first line such as"),
        ("#!/no/such/shell\n", 0o700, "its interpreter /no/such/shell cannot be run"),
    ],
)
def test_a_hook_that_cannot_be_run_is_found_at_the_start_and_is_a_failure_at_run_time(
    tmp_path: Path, content: str | None, mode: int, said: str
) -> None:
    path = tmp_path / "hook"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    hook = RollbackHook([str(path)], timeout=5, state_directory=tmp_path)
    assert said in problem(hook)
    outcome = run(hook)
    assert not outcome.ok
    assert outcome.words.startswith("could not be started: ")


@pytest.mark.fault(54)
def test_a_hook_that_others_could_change_is_a_problem(make_hook: MakeHook, tmp_path: Path) -> None:
    hook = make_hook("exit 0")
    path = Path(hook.command[0])
    path.chmod(0o702)
    assert "everybody can write to it (chmod o-w" in problem(hook)
    path.chmod(0o700)
    tmp_path.chmod(0o777)
    assert "and so replace the hook" in problem(hook)
    tmp_path.chmod(0o700)


@pytest.mark.fault(54)
@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_hook_of_another_user_is_a_problem(make_hook: MakeHook) -> None:
    hook = make_hook("exit 0")
    os.chown(hook.command[0], 12345, 12345)
    assert "belongs to user id 12345" in problem(hook)


def test_other_unsound_settings_are_named(make_hook: MakeHook, tmp_path: Path) -> None:
    path = make_hook("exit 0").command[0]
    assert "is not a file" in problem(RollbackHook([str(tmp_path)], timeout=1, state_directory=tmp_path))
    assert "absolute path" in problem(RollbackHook(["hook"], timeout=1, state_directory=tmp_path))
    assert "empty" in problem(RollbackHook([], timeout=1, state_directory=tmp_path))
    assert "must be a directory" in problem(RollbackHook([path], timeout=1, state_directory=Path(path) / "below"))


def test_without_a_directory_to_claim_the_run_in_it_is_not_run(make_hook: MakeHook, tmp_path: Path) -> None:
    path = make_hook(f"touch {tmp_path}/ran").command[0]
    outcome = run(RollbackHook([path], timeout=5, state_directory=Path(path) / "below"))
    assert not outcome.ok
    assert not (tmp_path / "ran").exists()


def test_its_directory_is_made_closed_to_others_and_each_database_has_runs_of_its_own(
    make_hook: MakeHook, tmp_path: Path
) -> None:
    path = make_hook(f"echo x >> {tmp_path}/count").command[0]
    for name in ("a", "b"):
        hook = RollbackHook([path], timeout=5, state_directory=tmp_path / "state" / name)
        assert hook.check() == ()
        assert run(hook).ok
    assert (tmp_path / "count").read_text() == "x\nx\n"
    assert (tmp_path / "state" / "a").stat().st_mode & 0o077 == 0
