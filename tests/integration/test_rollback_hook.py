"""The rollback hook: real processes that exit, hang, fork, flood and outlive the one that started them."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guard.act import rollback_hook
from guard.act.rollback_hook import RollbackHook
from guard.ports import HookOutcome
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

FACTS: dict[str, object] = {"run_id": 7, "migration": "add email", "because": "errors 7 % > 5 %"}
MakeHook = Callable[..., RollbackHook]


@pytest.fixture
def make_hook(tmp_path: Path) -> MakeHook:
    """``make_hook("exit 3")``: a hook of these lines of shell."""

    def make(script: str, *, timeout: float = 20.0, environment: tuple[str, ...] = ()) -> RollbackHook:
        path = tmp_path / "hook"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        return RollbackHook([str(path)], timeout=timeout, state_directory=tmp_path, environment=environment)

    return make


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.3 s from TERM to KILL, instead of 5."""
    monkeypatch.setattr(rollback_hook, "GRACE", 0.3)


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Path]:
    """A file for process ids; what they name does not outlive the test."""
    path = tmp_path / "pids"
    yield path
    for pid in path.read_text().split() if path.exists() else ():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def run(hook: RollbackHook) -> HookOutcome:
    return asyncio.run(hook.run(FACTS))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# -- how it ends -------------------------------------------------------------------------------------------------------


def test_a_hook_that_succeeds_is_told_as_such_with_what_it_printed(make_hook: MakeHook) -> None:
    outcome = run(make_hook("echo rolled back; echo complaint >&2"))
    assert outcome.ok
    assert outcome.words.startswith("exit 0 after ")
    assert outcome.output == "rolled back\ncomplaint\n"


def test_an_exit_code_is_a_failure(make_hook: MakeHook) -> None:
    outcome = run(make_hook("exit 3"))
    assert (outcome.ok, outcome.words[:12]) == (False, "exit 3 after")


def test_a_signal_is_a_failure_with_its_name(make_hook: MakeHook) -> None:
    outcome = run(make_hook("kill -SEGV $$"))
    assert (outcome.ok, outcome.words[:17]) == (False, "ended by SIGSEGV ")


def test_a_hook_that_ignores_term_is_killed_with_its_children_after_its_timeout(
    make_hook: MakeHook, short_grace: None, mortal: Path
) -> None:
    began = time.monotonic()
    outcome = run(make_hook(f"trap '' TERM; sleep 60 & echo $! > {mortal}; while :; do sleep 1; done", timeout=0.5))
    assert (outcome.ok, outcome.words) == (False, "killed after its timeout of 0.5 s")
    assert time.monotonic() - began < 5
    assert not alive(int(mortal.read_text()))


def test_a_child_that_keeps_the_output_open_does_not_keep_the_hook_from_ending(
    make_hook: MakeHook, short_grace: None, mortal: Path
) -> None:
    began = time.monotonic()
    outcome = run(make_hook(f"sleep 60 & echo $! > {mortal}; echo done"))
    assert (outcome.ok, outcome.output) == (True, "done\n")
    assert time.monotonic() - began < 5
    assert not alive(int(mortal.read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives orphans to a subreaper")
def test_a_process_that_left_the_group_is_named_and_not_killed(make_hook: MakeHook, mortal: Path) -> None:
    script = f"setsid sh -c 'echo $$ > {mortal}; exec sleep 60' & while [ ! -s {mortal} ]; do sleep 0.05; done"
    outcome = run(make_hook(script))
    pid = int(mortal.read_text())
    assert outcome.ok
    assert outcome.words.endswith(f"were not killed: {pid}")
    assert alive(pid)


def test_a_flood_of_output_is_kept_within_bounds_with_its_beginning_and_its_end(make_hook: MakeHook) -> None:
    outcome = run(make_hook("echo first; head -c 20000000 /dev/zero | tr '\\0' x; echo last"))
    assert outcome.ok
    assert len(outcome.output) < 66_000
    assert outcome.output.startswith("first\n")
    assert outcome.output.endswith("xlast\n")
    assert "bytes left out" in outcome.output


# -- what it gets ------------------------------------------------------------------------------------------------------


def test_it_gets_the_facts_on_standard_input_which_then_ends(make_hook: MakeHook) -> None:
    assert json.loads(run(make_hook("cat")).output) == FACTS


def test_facts_that_nobody_reads_block_nothing(make_hook: MakeHook) -> None:
    outcome = asyncio.run(make_hook("exit 0").run({**FACTS, "note": "x" * 1_000_000}))
    assert outcome.ok


def test_it_gets_no_variable_but_path_the_facts_and_those_allowed(
    make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "secret")
    monkeypatch.setenv("SLACK_WEBHOOK_URL", "secret")
    monkeypatch.setenv("FLAGS_HOST", "flags.internal")
    told = run(make_hook("env", environment=("FLAGS_HOST", "ABSENT"))).output
    got = dict(line.split("=", 1) for line in told.splitlines())
    for shells_own in ("PWD", "OLDPWD", "SHLVL", "_"):
        got.pop(shells_own, None)
    assert got == {
        "PATH": os.environ["PATH"],
        "FLAGS_HOST": "flags.internal",
        "MIGRATION_GUARD_RUN_ID": "7",
        "MIGRATION_GUARD_MIGRATION": "add email",
        "MIGRATION_GUARD_BECAUSE": "errors 7 % > 5 %",
    }


def test_no_shell_reads_the_arguments(make_hook: MakeHook, tmp_path: Path) -> None:
    path = make_hook('printf "%s\\n" "$@"').command[0]
    hook = RollbackHook([path, "; echo $HOME", "*"], timeout=20, state_directory=tmp_path)
    assert run(hook).output == "; echo $HOME\n*\n"


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


def test_a_start_without_an_end_is_unknown_and_never_started_again(
    make_hook: MakeHook, tmp_path: Path, mortal: Path
) -> None:
    hook = make_hook(f"echo x >> {tmp_path}/count; echo $$ $PPID > {mortal}; exec sleep 60")

    def supervisor() -> int | None:
        pids = mortal.read_text().split() if mortal.exists() else []
        return int(pids[1]) if len(pids) == 2 else None

    async def start_and_kill() -> HookOutcome:
        running = asyncio.create_task(hook.run(FACTS))
        pid = await asyncio.to_thread(wait_for, supervisor)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        return await running

    outcome = asyncio.run(start_and_kill())
    assert not outcome.ok
    assert outcome.words.startswith("unknown: ")
    assert run(hook) == outcome
    assert (tmp_path / "count").read_text() == "x\n"


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


def test_a_hook_that_others_could_change_is_a_problem(make_hook: MakeHook, tmp_path: Path) -> None:
    hook = make_hook("exit 0")
    path = Path(hook.command[0])
    path.chmod(0o702)
    assert "everybody can write to it (chmod o-w" in problem(hook)
    path.chmod(0o700)
    tmp_path.chmod(0o777)
    assert "and so replace the hook" in problem(hook)
    tmp_path.chmod(0o700)


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
