"""The guard dies right before and right after each of its durable steps, and the next one goes on from there.

One ladder is gone down by a row of daemons: each takes up what the one before has left, and dies one step further on.
"""

import os
import signal
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.house import QUEUE, ROOT, House, Process
from tests.acceptance.telling import told
from tests.acceptance.test_acts import ERRORS, migration
from tests.fix_matrix import Took
from tests.fix_postgres import MakeRole
from tests.fix_sessions import Background
from tests.waiting import wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(120)]
Start = Callable[[str, str], Background]
Step = tuple[str, str]

NOTHING_MORE = 3.0
"""Seconds in which something forbidden would have been begun: several judgements, and AGAIN_AFTER twice."""


def doomed(house: House, step: Step) -> Process:
    """A daemon that will die at this step."""
    command = [sys.executable, "-m", "tests.acceptance.failing", *step, "serve", "-c", str(house.write())]
    output = house.directory / f"daemon{len(house.processes)}.log"
    daemon = Process(command, output, {"PYTHONPATH": os.pathsep.join((str(ROOT), *filter(None, sys.path)))})
    house.processes.append(daemon)
    return daemon


def dies(daemon: Process) -> None:
    """Wait until it has died at its step."""
    assert daemon.wait(15) == -signal.SIGKILL, daemon.text()


ON_ITS_WAY: tuple[Step, ...] = (
    ("publish paused", "after"),
    ("lead", "before"),
    ("lead", "after"),
    ("add missing", "after"),
    ("send paused", "after"),
    ("mark paused", "after"),
)
"""From a pause that was decided to one that was told, with a restart at each step; right before a step is right after
the one that comes before it."""


@pytest.mark.fault(2, 51)
def test_a_guard_that_dies_at_any_step_of_a_pause_pauses_once_keeps_its_reason_and_tells_of_it(
    house: House, took: Took
) -> None:
    daemon = doomed(house, ("publish paused", "before"))
    migrating = house.wait_migrating()
    house.load(9)
    dies(daemon)
    died = time.time()
    dies(doomed(house, ON_ITS_WAY[0]))
    took(time.time() - died)
    told = house.order()
    assert told["kind"] == "pause"
    for step in ON_ITS_WAY[1:]:
        dies(doomed(house, step))
        assert house.order() == told, step
    for pauses, step in enumerate((("save paused", "before"), ("save paused", "after")), 1):
        daemon = doomed(house, step)
        assert len(house.events("paused")) == pauses
        house.load(0)
        house.wait_event("resumed", pauses)
        house.load(9)
        dies(daemon)
    house.serve()
    house.load(0)
    house.wait_event("resumed", 3)
    assert len(house.events("paused")) == 3
    migrating.wait_starts()
    house.assert_kept_to_orders(migrating)
    house.assert_all_told()


@pytest.mark.fault(4)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_guard_that_dies_while_it_says_goodbye_stops_the_migration_all_the_same(house: House, when: str) -> None:
    daemon = doomed(house, ("release", when))
    migrating = house.wait_migrating()
    daemon.send(signal.SIGTERM)
    dies(daemon)
    died = time.time()
    wait_for(lambda: any(line["at"] > died for line in migrating.lines("waits")), message="the migration to wait")
    words = migrating.lines("waits")[-1]["words"]
    # A silent guard is known by the server's clock or by this machine's, whichever looks first.
    allowed = ["was stopped"] if when == "after" else ["has been silent", "beat has stood still"]
    assert any(said in words for said in allowed), words
    house.serve()
    migrating.wait_starts()


@pytest.fixture
def readers(house: House, make_role: MakeRole, background: Start) -> Callable[[], list[Background]]:
    """``readers()``: two of the application, who queue for table t."""
    make_role("application")
    house.database.execute("grant select on t to application")

    def queue() -> list[Background]:
        dsn = house.database.dsn("application", application_name="web")
        waiting = [background(dsn, "select count(*) from t") for _ in range(2)]
        with house.database.connect() as admin:
            for reader in waiting:
                reader.wait_blocked(admin)
        return waiting

    return queue


@pytest.mark.fault(5)
def test_a_guard_that_dies_at_any_step_of_a_cancel_cancels_the_migration_once_and_nobody_else(
    house: House, background: Start, readers: Callable[[], list[Background]], took: Took
) -> None:
    house.rules = QUEUE
    held, queues = None, 0
    for step in (
        ("clear queue", "before"),
        ("cancel", "before"),
        ("cancel", "after"),
        ("publish cancelled", "before"),
        ("publish cancelled", "after"),
        ("save cancelled", "after"),
    ):
        began = time.time()
        daemon = doomed(house, step)
        daemon.wait_says("guarding ")
        if held is None:
            held = migration(house, background), readers()
            queues += 1
        dies(daemon)
        holder, waiting = held
        if step in {("clear queue", "before"), ("cancel", "before")}:
            assert holder.running
            assert all(reader.running for reader in waiting)
            continue  # the next one finds the queue as it was
        for reader in waiting:
            reader.wait(5)
            assert reader.error is None
        holder.wait(5)
        assert "canceling statement due to user request" in str(holder.error)
        took(time.time() - began)
        held = None
        if len(house.events("cancelled")) < queues:
            # The next guard cannot know whether it came to that, and says so.
            after = house.serve()
            house.wait_event("cancelled", queues)
            after.kill()
    house.serve()
    # Who is cancelled stands in the trail before he is: what follows may be lost with the daemon, and this cannot.
    reasons = [because for kind, _, because in house.events("paused")]
    assert len(reasons) == queues
    assert all("behind the migration, pid" in because for because in reasons)
    other = background(house.database.dsn("migrator", application_name="migration:other"), "select pg_sleep(60)")
    began = time.time()
    wait_for(lambda: time.time() > began + NOTHING_MORE)
    assert other.running
    assert len(house.events("cancelled")) == queues
    house.assert_all_told()
    assert len(told(house, "may have been cancelled")) == 2


# -- rollback ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def runs(house: House, tmp_path: Path) -> Path:
    """A rollback hook; what it was run for is in this file, a line each time."""
    script, runs = tmp_path / "rollback", tmp_path / "runs"
    script.write_text(f'#!/bin/sh\necho "$MIGRATION_GUARD_MIGRATION" >> {runs}\nsleep 0.5\necho undone\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    house.more = f'[rollback]\ncommand = ["{script}"]\ntimeout = "5s"\n'
    house.rules = ERRORS
    runs.touch()
    return runs


LADDER: tuple[Step, ...] = (
    ("publish rolling_back", "before"),
    ("publish rolling_back", "after"),
    ("end run", "after"),
    ("claim", "before"),
    ("launch", "after"),
    ("finish", "before"),
    ("finish", "after"),
    ("publish rolled_back", "after"),
    ("send rolled_back", "after"),
    ("mark rolled_back", "after"),
)
"""Between a claim and the start of the hook is a test of its own: there nobody may go on."""


@pytest.mark.fault(5, 56)
def test_a_guard_that_dies_at_any_step_of_a_rollback_runs_the_hook_once_and_tells_of_each_step(
    house: House, runs: Path, took: Took
) -> None:
    daemon = doomed(house, LADDER[0])
    migrating = house.wait_migrating()
    house.wait_event("applied")
    house.load(0.08)
    dies(daemon)
    for step in LADDER[1:]:
        began = time.time()
        dies(doomed(house, step))
        took(time.time() - began)
        assert house.order()["kind"] == "abort", step
    house.serve()
    assert migrating.wait(10) == 4
    house.wait_event("rolled_back")
    assert runs.read_text() == "backfill\n"
    assert len(house.events("rolling_back")) == len(house.events("rolled_back")) == 1
    assert house.database.execute("select count(*) from migration_guard.rollback where outcome = 'done'") == [(1,)]
    house.load(0)
    assert house.order()["kind"] == "abort"
    house.assert_all_told()


@pytest.mark.fault(5, 56)
def test_a_guard_that_dies_between_the_claim_and_the_hook_leaves_the_hook_to_a_human_and_the_migration_aborted(
    house: House, runs: Path
) -> None:
    daemon = doomed(house, ("claim", "after"))
    migrating = house.wait_migrating()
    house.wait_event("applied")
    house.load(0.08)
    dies(daemon)
    house.serve()
    assert migrating.wait(10) == 4
    died = time.time()
    wait_for(lambda: time.time() > died + NOTHING_MORE)
    assert runs.read_text() == ""
    assert house.order()["kind"] == "abort"
    assert house.database.execute("select finished_at from migration_guard.rollback") == [(None,)]
    house.assert_all_told()


@pytest.mark.fault(5)
def test_what_is_over_when_the_next_guard_reads_it_again_is_not_rolled_back(house: House, runs: Path) -> None:
    daemon = doomed(house, ("publish rolling_back", "after"))
    migrating = house.wait_migrating()
    house.wait_event("applied")
    house.load(0.08)
    dies(daemon)
    house.load(0)
    house.serve()
    assert "read again when its sessions were gone: errors (http) 0 %" in house.wait_event("rollback_withheld")[2]
    assert migrating.wait(10) == 4
    assert (runs.read_text(), house.order()["kind"]) == ("", "abort")
    assert house.database.execute("select 1 from migration_guard.rollback") == []
    house.assert_all_told()
