"""The rollback hook: real processes that exit, hang, fork and flood, and what they are given."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from guard.act.rollback_hook import RollbackHook
from guard.ports import HookOutcome
from tests.fix_hooks import FACTS, MakeHook, alive, pids_in, run
from tests.fix_matrix import Took
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


# -- how it ends -------------------------------------------------------------------------------------------------------


def test_a_hook_that_succeeds_is_told_as_such_with_what_it_printed(make_hook: MakeHook) -> None:
    outcome = run(make_hook("echo rolled back; echo complaint >&2"))
    assert outcome.ok
    assert outcome.words.startswith("exit 0 after ")
    assert outcome.output == "rolled back\ncomplaint\n"


@pytest.mark.fault(55)
def test_an_exit_code_is_a_failure(make_hook: MakeHook) -> None:
    outcome = run(make_hook("exit 3"))
    assert (outcome.ok, outcome.words[:12]) == (False, "exit 3 after")


@pytest.mark.fault(55)
def test_a_signal_is_a_failure_with_its_name(make_hook: MakeHook) -> None:
    outcome = run(make_hook("kill -SEGV $$"))
    assert (outcome.ok, outcome.words[:17]) == (False, "ended by SIGSEGV ")


@pytest.mark.fault(55)
def test_a_hook_that_ignores_term_is_killed_with_its_children_after_its_timeout(
    make_hook: MakeHook, short_grace: None, mortal: Path, took: Took
) -> None:
    with took.within(5):
        outcome = run(make_hook(f"trap '' TERM; sleep 60 & echo $! > {mortal}; while :; do sleep 1; done", timeout=0.5))
    assert (outcome.ok, outcome.words) == (False, "killed after its timeout of 0.5 s")
    assert not alive(int(mortal.read_text()))


@pytest.mark.fault(55)
def test_a_child_that_keeps_the_output_open_does_not_keep_the_hook_from_ending(
    make_hook: MakeHook, short_grace: None, mortal: Path, took: Took
) -> None:
    with took.within(5):
        outcome = run(make_hook(f"sleep 60 & echo $! > {mortal}; echo done"))
    assert (outcome.ok, outcome.output) == (True, "done\n")
    assert not alive(int(mortal.read_text()))


@pytest.mark.fault(55)
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives orphans to a subreaper")
def test_a_process_that_left_the_group_is_named_and_not_killed(make_hook: MakeHook, mortal: Path) -> None:
    script = f"setsid sh -c 'echo $$ > {mortal}; exec sleep 60' & while [ ! -s {mortal} ]; do sleep 0.05; done"
    outcome = run(make_hook(script))
    pid = int(mortal.read_text())
    assert outcome.ok
    assert outcome.words.endswith(f"were not killed: {pid}")
    assert alive(pid)


@pytest.mark.fault(55)
def test_a_flood_of_output_is_kept_within_bounds_with_its_beginning_and_its_end(make_hook: MakeHook) -> None:
    outcome = run(make_hook("echo first; head -c 20000000 /dev/zero | tr '\\0' x; echo last"))
    assert outcome.ok
    assert len(outcome.output) < 66_000
    assert outcome.output.startswith("first\n")
    assert outcome.output.endswith("xlast\n")
    assert "bytes left out" in outcome.output


@pytest.mark.fault(55)
def test_where_everybody_is_told_to_end_the_supervisor_stays_and_says_that_the_hook_did(
    make_hook: MakeHook, mortal: Path
) -> None:
    """As systemd does it when a unit, or the machine, goes down: SIGTERM to each process."""
    hook = make_hook(f"echo $$ $PPID > {mortal}; exec sleep 60")

    async def start_and_end() -> HookOutcome:
        running = asyncio.create_task(hook.run(FACTS))
        hooks_own, supervisor = await asyncio.to_thread(wait_for, lambda: pids_in(mortal))
        for pid in (supervisor, hooks_own):
            os.kill(pid, signal.SIGTERM)
        return await running

    outcome = asyncio.run(start_and_end())
    assert (outcome.ok, outcome.words[:17]) == (False, "ended by SIGTERM ")


# -- what it gets ------------------------------------------------------------------------------------------------------


@pytest.mark.fault(55)
def test_it_gets_the_facts_on_standard_input_which_then_ends(make_hook: MakeHook) -> None:
    assert json.loads(run(make_hook("cat")).output) == FACTS


def test_facts_that_nobody_reads_block_nothing(make_hook: MakeHook) -> None:
    outcome = asyncio.run(make_hook("exit 0").run({**FACTS, "note": "x" * 1_000_000}))
    assert outcome.ok


@pytest.mark.fault(67)
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
