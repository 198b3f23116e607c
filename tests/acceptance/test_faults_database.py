"""Privileges, passwords and the guard's own tables are changed under it, and migrations die: told once, and mended."""

import contextlib
import itertools
import re
import time
from collections.abc import Callable, Iterator

import pytest

from guard.act.install import install
from tests.acceptance.house import FRESH_FOR, LEASE, NOISE, QUEUE, House, Migrating
from tests.acceptance.telling import told, wait_told
from tests.fix_matrix import Took
from tests.fix_sessions import Background
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance

Start = Callable[[str, str], Background]


def wait_until(moment: float) -> None:
    """Wait for a moment of the wall clock: for what must not happen until then."""
    wait_for(lambda: time.time() > moment, within=max(0.0, moment - time.time()) + 1)


@pytest.fixture
def queue(house: House, background: Start) -> Iterator[Callable[[], Background]]:
    """``queue()``: an ALTER of the migration waits, and two readers wait behind it; the ALTER."""
    house.rules = QUEUE
    house.database.execute("create table u (); alter table u owner to migrator")

    def make() -> Background:
        admin = holder.enter_context(house.database.connect())
        reader = holder.enter_context(house.database.connect())
        reader.execute("begin; select from u")
        alter = background(house.database.dsn("migrator"), "alter table u add column c int")
        alter.wait_blocked(admin)
        for _ in range(2):
            background(house.database.dsn(), "select from u").wait_blocked(admin)
        return alter

    with contextlib.ExitStack() as holder:
        yield make


@pytest.mark.fault(24)
@pytest.mark.parametrize("why", ["pg_signal_backend is missing", "the migration is a superuser"])
def test_who_may_not_be_cancelled_is_told_once_and_the_server_is_asked_once(
    house: House, queue: Callable[[], Background], why: str
) -> None:
    house.serve()
    if why == "pg_signal_backend is missing":
        house.database.execute("revoke pg_signal_backend from migration_guard_guard")
    else:
        house.database.execute("alter role migrator superuser")
    log = len(house.database.server.log_text())
    alter = queue()
    wait_told(house, "could not be cancelled")
    [words] = told(house, "could not be cancelled")
    assert "locks.queued_behind_migration 2 >= 2" in words
    assert "belongs to a superuser or pg_signal_backend is missing" in str(house.slack.requests[-1].payload)
    wait_until(time.time() + 3)  # each poll finds the queue again
    assert len(told(house, "could not be cancelled")) == 1
    refusals = re.findall("ERROR: +(?:permission denied|must be) .*cancel", house.database.server.log_text()[log:])
    assert len(refusals) == 1
    assert alter.running


@pytest.mark.fault(25)
def test_a_changed_password_is_told_with_its_reason_tried_ever_more_seldom_and_said_nowhere(
    house: House, took: Took
) -> None:
    house.serve()
    migrating = house.wait_migrating()
    server, old = house.database.server, house.database.server.password
    log = len(server.log_text())
    server.execute("alter role guard_login password 'n3w-canary'")
    server.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'guard_login'")
    changed = time.time()
    wait_told(house, "migration-guard cannot signal: signal: no connection to PostgreSQL: ", within=6)
    assert 'password authentication failed for user "guard_login"' in told(house, "cannot signal")[0]
    wait_until(changed + LEASE + FRESH_FOR + 2)
    assert max(migrating.starts) < changed + LEASE + FRESH_FOR + NOISE
    # Five connections, each trying 0.25, 0.5, 1, 2 s after the last, and one of them each second.
    assert server.log_text()[log:].count('password authentication failed for user "guard_login"') < 5 * 6 + 8
    server.execute(f"alter role guard_login password '{old}'")
    mended = time.time()
    wait_for(lambda: migrating.starts[-1] > mended, within=10)
    took(migrating.starts[-1] - mended)
    assert min(at for at in migrating.starts if at > mended) < mended + 2 + NOISE
    wait_told(house, "migration-guard can signal again")
    wait_told(house, "cannot signal")
    everything = house.processes[0].text() + str([request.payload for request in house.slack.requests])
    everything += "".join(path.read_bytes().decode("latin-1") for path in (house.directory / "state").iterdir())
    assert old not in everything
    assert "n3w-canary" not in everything


@pytest.mark.fault(29)
def test_what_a_hand_does_to_the_guards_own_rows_is_mended_with_its_next_beat(house: House, took: Took) -> None:
    house.serve()
    migrating = house.wait_migrating()
    for by_hand in (
        b"delete from migration_guard.lease",
        b"update migration_guard.lease set orders = '{}', epoch = 1, mode = 'released'",
        b"delete from migration_guard.leader",
    ):
        before = house.lease()
        house.database.execute(by_hand)
        at = time.time()
        wait_until(at + 2.5)
        starts = [start for start in migrating.starts if start > at - 0.5]
        longest = max(later - earlier for earlier, later in itertools.pairwise([*starts, time.time()]))
        took(longest)
        assert longest < 1 + 1 + NOISE  # to the next beat, and where the lead is taken anew to the second one
        lease = house.lease()
        assert (lease["mode"], lease["orders"]["backfill"]["kind"]) == ("live", "proceed")
        assert lease["epoch"] >= before["epoch"]
    assert told(house, "cannot") == []
    house.assert_kept_to_orders(migrating)


@pytest.mark.fault(29)
def test_a_dropped_table_and_a_lease_that_somebody_locks_are_told_once_with_what_and_who_and_hold_the_migration(
    house: House, took: Took
) -> None:
    house.serve()
    migrating = house.wait_migrating()
    house.database.execute("drop table migration_guard.lease")
    dropped = time.time()
    wait_told(house, 'relation "migration_guard.lease" does not exist')
    assert max(migrating.starts) < dropped + FRESH_FOR + NOISE
    install(house.database.dsn())
    wait_told(house, "migration-guard can signal again")
    migrating.wait_starts()
    with house.database.connect(application_name="psql of anna") as anna:
        anna.execute("begin; select from migration_guard.lease for update")
        locked = time.time()
        holder = f"pid {anna.info.backend_pid} (postgres, psql of anna), idle in transaction since "
        wait_told(house, holder, within=8)
        wait_until(locked + LEASE + FRESH_FOR + 1)
        held = max(migrating.starts)
        took(held - locked)
        assert held < locked + LEASE + FRESH_FOR + NOISE
        anna.rollback()
    wait_told(house, "migration-guard can signal again", times=2)
    migrating.wait_starts(within=4)
    assert len(told(house, "cannot signal")) == 2


def wait_line(migrating: Migrating, what: str) -> None:
    """Wait until it logs the next line of a kind."""
    before = len(migrating.lines(what))
    wait_for(lambda: len(migrating.lines(what)) > before, every=0.002)


@pytest.mark.fault(59)
def test_a_migration_that_dies_while_it_waits_between_batches_or_in_one_is_noticed_and_goes_on_where_it_was(
    house: House, took: Took
) -> None:
    house.serve()
    migrating = house.wait_migrating()
    house.load(9)
    house.wait_event("paused")
    wait_for(lambda: any("waits" in line["words"] for line in migrating.lines("waits")))
    killed = migrating.kill()
    took(house.wait_event("gone", within=6)[1] - killed)
    assert house.order() == {}
    wait_told(house, "backfill vanished: its session ended without saying how the migration went")
    house.load(0)
    for where in ("committed", "batch"):
        migrating = house.wait_migrating(work=0.3)
        wait_line(migrating, where)
        migrating.kill()
    migrating = house.wait_migrating()
    migrating.kill()
    house.assert_each_row_once(migrating)
    outcomes = house.database.execute("select outcome from migration_guard.run order by run_id")
    assert outcomes[:3] == [("gone",)] * 3
    house.assert_kept_to_orders(migrating)
