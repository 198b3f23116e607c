"""The rollback hook in a service of its own: requests as files, and the runner as a process, without systemd."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from guard.act import rollback_requests
from guard.act.rollback_requests import Requests, Stage
from guard.act.rollback_unit import RollbackByUnit, files_of, serve_requests
from guard.ports import HookOutcome
from tests.fix_matrix import Took
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

FACTS: dict[str, object] = {"run_id": 7, "migration": "add email", "database": "main", "because": "errors"}
Run = Callable[[], subprocess.Popen[str]]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state directory that daemon and runner share."""
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


@pytest.fixture
def write(tmp_path: Path, state: Path) -> Callable[[str], Path]:
    """``write("exit 3")``: the configuration file, with a hook of these lines of shell."""

    def write(script: str) -> Path:
        hook, file = tmp_path / "hook", tmp_path / "guard.toml"
        hook.write_text(f"#!/bin/sh\n{script}\n")
        hook.chmod(0o700)
        file.write_text(
            f'[guard]\nstate_directory = "{state}"\n[database.main]\ndsn = "dbname=x"\nstandbys = []\n'
            f'[rollback]\ncommand = ["{hook}"]\nrunner = "unit"\ntimeout = "20s"\nenvironment = ["FLAGS_HOST"]\n'
        )
        return file

    return write


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Run]:
    """``runner()``: migration-guard rollback-runner as systemd starts it; gone after the test."""
    started: list[subprocess.Popen[str]] = []

    def run() -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "guard", "rollback-runner", "-c", str(tmp_path / "guard.toml")]
        environment = {"PATH": "/usr/bin:/bin", "FLAGS_HOST": "flags.internal", "PGPASSWORD": "secret"}
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def hook_of(state: Path, timeout: float = 20.0) -> RollbackByUnit:
    """The daemon's end; the command is only what it tells people."""
    return RollbackByUnit(
        ["/bin/false"], timeout=timeout, state_directory=state, database="main", files=files_of(state, "main")
    )


def run(hook: RollbackByUnit) -> HookOutcome:
    return asyncio.run(hook.run(FACTS))


def serve(requests: Requests) -> int:
    """The runner's end in this process, where no hook must be run; how many requests were taken."""

    def none(database: str, migration: str) -> NoReturn:
        pytest.fail(f"the hook of {migration} in {database} was about to be run")

    return asyncio.run(serve_requests(requests, none, stopping=asyncio.Event()))


async def ask_and(hook: RollbackByUnit, then: Callable[[], object]) -> HookOutcome:
    """Ask for the hook, do something once the request is there, and wait for the end."""
    asked = asyncio.create_task(hook.run(FACTS))
    await asyncio.sleep(0.1)
    then()
    return await asked


@pytest.mark.fault(67)
def test_the_runner_runs_the_command_of_its_own_file_with_the_facts_and_what_is_allowed_of_its_environment(
    write: Callable[[str], Path], state: Path, runner: Run
) -> None:
    write("env; cat")
    outcome = asyncio.run(ask_and(hook_of(state), runner))
    assert outcome.ok, outcome
    *env, facts = outcome.output.splitlines()
    got = dict(line.split("=", 1) for line in env)
    for shells_own in ("PWD", "OLDPWD", "SHLVL", "_"):
        got.pop(shells_own, None)
    assert got == {
        "PATH": "/usr/bin:/bin",
        "FLAGS_HOST": "flags.internal",
        "MIGRATION_GUARD_RUN_ID": "7",
        "MIGRATION_GUARD_MIGRATION": "add email",
        "MIGRATION_GUARD_DATABASE": "main",
        "MIGRATION_GUARD_BECAUSE": "errors",
    }
    assert json.loads(facts) == FACTS


@pytest.mark.fault(56)
def test_a_hook_runs_once_however_often_it_is_asked_for_and_taken(
    write: Callable[[str], Path], state: Path, runner: Run, tmp_path: Path
) -> None:
    write(f"echo x >> {tmp_path}/count; sleep 0.5; exit 3")
    first = asyncio.run(ask_and(hook_of(state), lambda: [runner(), runner(), runner()]))
    assert first.words.startswith("exit 3 after ")
    assert run(hook_of(state)) == first == hook_of(state).last_outcome(7)
    assert runner().wait(10) == 0
    assert (tmp_path / "count").read_text() == "x\n"


@pytest.mark.fault(56)
def test_a_request_that_nobody_takes_is_withdrawn_and_never_runs_later(
    write: Callable[[str], Path], state: Path, runner: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, took: Took
) -> None:
    monkeypatch.setattr(rollback_requests, "CLAIM_WITHIN", 0.5)
    write(f"touch {tmp_path}/ran")
    with took.within(2.0):
        outcome = run(hook_of(state))
    assert (outcome.ok, outcome.words[:37]) == (False, "not started: nobody took the request ")
    assert "systemctl enable --now migration-guard-rollback.path" in outcome.words
    assert runner().wait(10) == 0
    assert not (tmp_path / "ran").exists()
    assert hook_of(state).last_outcome(7) == outcome


@pytest.mark.fault(56)
def test_a_daemon_that_was_killed_after_asking_knows_the_end_when_it_comes_back(
    write: Callable[[str], Path], state: Path, runner: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("echo done")
    Requests(state).ask("main", 7, FACTS)
    assert hook_of(state).last_outcome(7) is None
    assert runner().wait(10) == 0
    outcome = hook_of(state).last_outcome(7)
    assert outcome is not None
    assert (outcome.ok, outcome.output) == (True, "done\n")
    # And where no runner has come meanwhile, the request of the daemon before is taken back, too.
    Requests(state).ask("main", 8, {**FACTS, "run_id": 8})
    monkeypatch.setattr(rollback_requests, "CLAIM_WITHIN", -1.0)
    late = hook_of(state).last_outcome(8)
    assert late is not None
    assert late.words.startswith("not started: nobody took")


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("asked", 0.0, "older than"),
        ("asked", 1e9, "older than"),
        ("asked", "now", "older than"),
        pytest.param("wall", time.time() - 100, "older than", id="wall"),
        ("facts", {**FACTS, "run_id": 8}, "another run"),
        ("facts", [], "cannot be read"),
        ("facts", {"run_id": 7, "because": "x" * 300_000}, "cannot be read"),
    ],
)
def test_a_request_from_another_time_or_of_another_shape_is_refused_in_words_and_not_run(
    state: Path, *, field: str, value: object, why: str
) -> None:
    requests = Requests(state)
    requests.ask("main", 7, FACTS)
    pending = requests.directory / "main.7.request"
    pending.write_text(json.dumps({**json.loads(pending.read_text()), field: value}))
    assert serve(requests) == 1
    outcome = hook_of(state).last_outcome(7)
    assert outcome is not None
    assert why in outcome.words, outcome


def test_what_is_no_request_is_put_aside_so_that_the_unit_is_not_started_for_ever(state: Path) -> None:
    requests = Requests(state)
    requests.directory.mkdir()
    (requests.directory / "..request").touch()
    (requests.directory / "main.x.request").touch()
    (requests.directory / "main.1.request").symlink_to("/etc/passwd")
    (requests.directory / "main.2.request").mkdir()
    (requests.directory / "elsewhere.3.request").write_text("{}")
    os.mkfifo(requests.directory / "main.4.request")
    serve(requests)
    assert list(requests.directory.glob("*.request")) == []


def test_a_wrong_file_is_the_outcome_and_not_a_request_that_stays(
    write: Callable[[str], Path], state: Path, runner: Run, tmp_path: Path
) -> None:
    file = write(f"touch {tmp_path}/ran")
    file.write_text(file.read_text().replace('runner = "unit"', ""))
    outcome = asyncio.run(ask_and(hook_of(state), runner))
    assert (outcome.ok, 'no [rollback] with runner = "unit"' in outcome.words) == (False, True), outcome
    assert not (tmp_path / "ran").exists()


@pytest.mark.fault(56)
def test_a_runner_that_is_killed_leaves_the_hook_at_work_and_its_end_is_known(
    write: Callable[[str], Path], state: Path, runner: Run, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    write(f"while [ ! -e {go} ]; do sleep 0.05; done; echo finished")
    hook = hook_of(state)

    def kill_when_it_runs() -> None:
        process = runner()
        wait_for(lambda: files_of(state, "main").running(7), message="the hook to start")
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert hook.last_outcome(7) is None
        go.touch()

    outcome = asyncio.run(ask_and(hook, kill_when_it_runs))
    assert (outcome.ok, outcome.output) == (True, "finished\n")


def test_a_runner_that_died_between_taking_and_starting_is_told_as_not_started(state: Path) -> None:
    requests = Requests(state)
    requests.ask("main", 7, FACTS)
    (request,) = requests.claim()
    assert hook_of(state).last_outcome(7) is None
    os.close(request.lock)
    outcome = hook_of(state).last_outcome(7)
    assert outcome is not None
    assert outcome.words == "not started: the rollback unit took the request and ended before it began"
    assert requests.stage("main", 7) is Stage.CLAIMED


def test_hooks_of_two_runs_run_side_by_side_and_a_stopped_runner_waits_for_both(
    write: Callable[[str], Path], state: Path, runner: Run, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    write(f"while [ ! -e {go} ]; do sleep 0.05; done; exit 0")
    requests, files = Requests(state), files_of(state, "main")
    requests.ask("main", 7, FACTS)
    process = runner()
    wait_for(lambda: files.running(7), message="the first hook")
    requests.ask("main", 8, {**FACTS, "run_id": 8})
    wait_for(lambda: files.running(8), message="the second hook beside it")
    process.send_signal(signal.SIGTERM)
    requests.ask("main", 9, {**FACTS, "run_id": 9})
    time.sleep(0.3)  # a runner that is told to end takes nothing more
    assert (process.poll(), requests.stage("main", 9)) == (None, Stage.PENDING)
    go.touch()
    assert process.wait(10) == 0
    assert [bool(files.outcome(run_id)) for run_id in (7, 8)] == [True, True]
