"""Chaos itself: a short run holds and is repeatable, leaves nothing behind, and knows what was allowed when."""

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from guard.demo.embedded import Binaries
from tests.acceptance.house import ROOT
from tests.acceptance.test_demo import left_in, said
from tests.chaos.faults import together
from tests.chaos.kinds import FAULTS
from tests.chaos.permission import SLACK, Lease, Permission, Told
from tests.chaos.plan import plan
from tests.waiting import wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(180)]


def test_the_same_seed_gives_the_same_faults_at_the_same_times_and_each_kind_before_any_comes_twice() -> None:
    lengths = {name: fault.lengths for name, fault in FAULTS.items()}
    first, again, other = (plan(seed, 3000, 20, lengths, together) for seed in (1, 1, 2))
    assert first == again
    assert [slot.name for slot in first] != [slot.name for slot in other]
    assert {slot.name for slot in first[: len(FAULTS)]} == FAULTS.keys()
    assert all(slot.at + slot.length < next_one.at for slot, next_one in itertools.pairwise(first))


LEASES = (Lease(0, 3, allows=True), Lease(1, 4, allows=False), Lease(2, 5, allows=True))


@pytest.mark.parametrize(
    ("start", "orders", "crashes", "allowed"),
    [
        pytest.param(0.5, (), (), True, id="told to proceed"),
        pytest.param(1.0 + SLACK - 0.01, (), (), True, id="within the freshness of an answer"),
        pytest.param(5.0 + SLACK + 0.01, (), (), False, id="the lease has ended"),
        pytest.param(2.5 + SLACK, (Told("pause", 2.4, 9),), (), False, id="a person has paused it"),
        pytest.param(9.0, (Told("override", 8, 10), Told("pause", 8, 10)), (), True, id="an override beats a pause"),
        pytest.param(9.0, (Told("override", 8, 10), Told("abort", 8, 10)), (), False, id="an abort beats an override"),
        pytest.param(4.5, (), (2.5,), False, id="a crash has emptied the lease"),
        pytest.param(-0.1, (), (), False, id="nobody has spoken yet"),
    ],
)
def test_a_batch_is_allowed_only_by_what_stood_in_the_database_within_the_freshness_of_an_answer(
    start: float, orders: tuple[Told, ...], crashes: tuple[float, ...], allowed: bool
) -> None:
    assert Permission(LEASES, orders, crashes).allowed(start) is allowed


@contextmanager
def chaos(binaries: Binaries, tmp: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A run on the chosen server programs, with all its files and servers below *tmp*."""
    tmp.chmod(0o1777)  # as /tmp is: whoever ends last deletes
    environment = {**os.environ, "TMPDIR": str(tmp), "MIGRATION_GUARD_PG_BIN": str(binaries.bin_dir)}
    command = [sys.executable, "-m", "tests.chaos", *arguments]
    with (tmp / "said").open("w") as said:
        run = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, cwd=ROOT, env=environment)
    try:
        yield run
    finally:
        if run.poll() is None:
            run.terminate()
            run.wait(60)


def test_a_short_run_holds_ends_with_a_table_and_leaves_nothing_behind(binaries: Binaries, open_tmp: Path) -> None:
    kinds = ("--only", "metric: breach")
    with chaos(binaries, open_tmp, "--minutes", "0.1", "--every", "6s", "--seed", "3", "--rows", "8000", *kinds) as run:
        assert run.wait(120) == 0, said(open_tmp)
    assert "seed 3: all held" in said(open_tmp)
    assert "to resume, s" in said(open_tmp)
    wait_for(lambda: not left_in(open_tmp), within=15, message=lambda: "\n".join(left_in(open_tmp)))


def test_an_interrupted_run_leaves_nothing_behind(binaries: Binaries, open_tmp: Path) -> None:
    with chaos(binaries, open_tmp, "--minutes", "5", "--seed", "3") as run:
        wait_for(lambda: "batches flow" in said(open_tmp), within=60, message=lambda: said(open_tmp))
        run.send_signal(signal.SIGINT)
        assert run.wait(60) == 130, said(open_tmp)
    wait_for(lambda: not left_in(open_tmp), within=15, message=lambda: "\n".join(left_in(open_tmp)))
