"""The benchmarks measure the guard, and not themselves."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import reaction
from benchmarks.rig import Rig
from benchmarks.table import Bar, Row
from guard.demo.embedded import Binaries

pytestmark = pytest.mark.acceptance

POLL = 0.1
FROZEN = 1.0


def test_a_reaction_takes_longer_by_as_long_as_the_guard_was_frozen(binaries: Binaries) -> None:
    with Rig(binaries) as rig, rig.daemon(POLL) as daemon, reaction.breaches(rig) as scene:
        usual = scene.once(POLL)

        def freeze() -> None:
            os.kill(daemon.child.pid, signal.SIGSTOP)
            try:
                time.sleep(FROZEN)  # what is tried is this time itself
            finally:
                os.kill(daemon.child.pid, signal.SIGCONT)

        late = scene.once(POLL, meanwhile=freeze)
    assert 0 <= usual.to_pause < late.to_pause
    assert late.to_pause > FROZEN - POLL - 0.2
    assert usual.to_last_batch < 5  # it stopped at all
    assert usual.to_resume > -reaction.FRESH_FOR


def test_one_benchmark_runs_from_the_command_line_and_keeps_each_sample(binaries: Binaries, tmp_path: Path) -> None:
    samples = tmp_path / "samples.json"
    command = [sys.executable, "-m", "benchmarks", "--only", "checkpoint", "--runs", "2", "--json", str(samples)]
    environment = {**os.environ, "MIGRATION_GUARD_PG_BIN": str(binaries.bin_dir)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, env=environment)
    assert done.returncode in {0, 1}, done.stdout + done.stderr  # 1: a bar was missed, which a busy machine may
    (row,) = json.loads(samples.read_text())["rows"]
    assert row["unit"] == "x"
    assert len(row["samples"]) == 2
    assert all(ratio > 0.5 for ratio in row["samples"])
    assert "SELECT 1" in done.stdout


@pytest.mark.parametrize(
    ("samples", "bar", "met"),
    [
        pytest.param(range(1, 201), Bar(198), True, id="p99 of 200 is the 198th"),
        pytest.param(range(1, 201), Bar(197), False, id="and above a bar of 197"),
        pytest.param(range(1, 201), Bar(199, "max"), False, id="the maximum counts the worst one"),
        pytest.param([98, 100, 101], Bar(99, "median", least=True), True, id="at least: the median"),
        pytest.param([98, 100, 101], Bar(99, "max", least=True), False, id="at least: the worst is the lowest"),
    ],
)
def test_a_bar_is_held_against_the_right_figure(samples: list[int], bar: Bar, met: bool) -> None:
    assert Row("anything", tuple(map(float, samples)), "ms", bar).met is met
