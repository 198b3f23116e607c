"""What the guard does beside ordering: it releases lock queues, rolls back, and only looks on where told to."""

import re
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.house import FRESH_FOR, LOAD, NOISE, QUEUE, House
from tests.command import command
from tests.fix_postgres import MakeRole
from tests.fix_sessions import Background
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance
Start = Callable[[str, str], Background]

HOLD = "lock table t; select pg_sleep(60)"
"""Blocks every reader, while a statement runs."""
STUBBORN = """do $$ begin
    lock table t;
    loop begin perform pg_sleep(60); exception when query_canceled then null; end; end loop;
end $$"""
ERRORS = """
[[rule]]
name     = "errors"
http     = "{url}"
json     = "v"
pause    = "> 1%"
rollback = "> 5% for 300ms"
resume   = "< 1% for 300ms"
"""


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


def migration(house: House, background: Start, statement: str = HOLD) -> Background:
    """A session of an unregistered migration that holds table t."""
    session = background(house.database.dsn("migrator", application_name="migration:ddl"), statement)
    wait_locked(house, session)
    return session


def wait_locked(house: House, session: Background) -> None:
    """Wait until the migration has locked table t."""
    held = "select 1 from pg_locks where relation = 't'::regclass and mode = 'AccessExclusiveLock' and granted"
    wait_for(lambda: house.database.execute(held.encode()), message=f"t to be locked ({session.error})")


def test_a_lock_queue_is_released_by_cancelling_the_migration_and_the_application_is_not_touched(
    house: House, background: Start, readers: Callable[[], list[Background]]
) -> None:
    house.rules = QUEUE
    house.serve()
    holder = migration(house, background)
    waiting = readers()
    queued = time.time()
    for reader in waiting:
        reader.wait(5)
        assert reader.error is None
    assert time.time() - queued < 0.5 + 0.1 + 2 * NOISE
    holder.wait()
    assert "canceling statement due to user request" in str(holder.error)
    assert len(house.events("cancelled")) <= 1
    house.wait_event("cancelled")
    house.assert_all_told()


@pytest.mark.parametrize(
    "why", ["alter role migrator superuser", "revoke pg_signal_backend from migration_guard_guard"]
)
def test_a_migration_that_may_not_be_cancelled_is_left_and_that_is_told_once(
    house: House, background: Start, readers: Callable[[], list[Background]], why: str
) -> None:
    house.rules = QUEUE
    house.database.execute(why.encode())
    house.serve()
    holder = migration(house, background)
    readers()
    assert "queue" in house.wait_event("cancel_failed")[2]
    told = time.time()
    wait_for(lambda: time.time() > told + 3)
    assert len(house.events("cancel_failed")) == 1
    assert holder.running
    house.assert_all_told()


@pytest.mark.fault(35)
@pytest.mark.parametrize("how", ["same session", "new run each time"])
def test_a_migration_that_comes_back_into_the_queue_a_third_time_is_aborted(
    house: House, background: Start, readers: Callable[[], list[Background]], how: str
) -> None:
    house.rules = QUEUE
    house.serve()
    session = None
    for attempt in (1, 2, 3):
        if session is None or how == "new run each time":
            session = background(house.database.dsn("migrator"), "select migration_guard.register('again')")
            session.wait()
            # A cancel that is swallowed is followed by a terminate.
        session.restart(HOLD if how == "same session" else STUBBORN)
        wait_locked(house, session)
        for reader in readers():
            reader.wait(10)
            assert reader.error is None
        session.wait()
        assert ("canceling statement" if how == "same session" else "terminating connection") in str(session.error)
        house.wait_event("cancelled", attempt)
        assert bool(house.events("aborted")) is (attempt == 3)
    [(kind,)] = house.database.execute("select kind from migration_guard.read_order('again', null)")
    assert kind == "abort"


@pytest.mark.fault(3, 14)
def test_a_guard_that_was_frozen_in_the_middle_of_a_breach_cancels_nobody_for_a_queue_that_is_gone(
    house: House, background: Start, readers: Callable[[], list[Background]]
) -> None:
    house.rules = QUEUE.replace('">= 2"', '">= 2 for 2s"')
    daemon = house.serve()
    holder = migration(house, background)
    waiting = readers()
    queued = time.time()
    wait_for(lambda: time.time() > queued + 1.4)  # seen, and not yet for long enough
    daemon.send(signal.SIGSTOP)
    for reader in waiting:
        reader.close()
    wait_for(lambda: time.time() > queued + 4)
    daemon.send(signal.SIGCONT)
    woken = time.time()
    wait_for(lambda: (house.lease() or {}).get("beat_at") and time.time() > woken + 2)
    assert holder.running
    assert house.events("cancelled") == []


def test_a_pause_is_written_in_time_although_a_stuck_transaction_has_locked_every_row_of_operators_and_clients(
    house: House,
) -> None:
    house.serve()
    migrating = house.wait_migrating()
    house.database.execute("select migration_guard.order_mute('other', 'load', 'ana', 'for a test')")
    with house.database.connect() as stuck:
        stuck.execute("begin")
        for table in ("operator_order", "run", "forgotten"):
            stuck.execute(f"select from migration_guard.{table} for update".encode())
        at = time.time()
        house.load(9)
        assert house.wait_event("paused")[1] < at + 0.1 + NOISE
        wait_for(lambda: time.time() > at + 1 + FRESH_FOR)
        stuck.execute("rollback")
    house.assert_kept_to_orders(migrating)
    house.load(0)
    house.wait_event("resumed")


def test_an_observing_guard_orders_nothing_cancels_nobody_and_stops_nobody_by_its_death(
    house: House, background: Start, readers: Callable[[], list[Background]]
) -> None:
    house.guard, house.rules = 'mode = "observe"', LOAD + QUEUE
    daemon = house.serve()
    migrating = house.wait_migrating()
    house.load(9)
    house.wait_event("paused")
    assert house.order()["kind"] == "proceed"
    migrating.wait_starts(20)
    background_migration = migration(house, background)
    waiting = readers()
    seen = time.time()
    wait_for(lambda: time.time() > seen + 2)
    assert background_migration.running
    assert all(reader.running for reader in waiting)
    shown = command("status", "-c", str(house.file)).out
    assert re.search(r"backfill +\d+ +proceed +\(paused\)", shown), shown
    explained = command("explain", "backfill", "-c", str(house.file)).out
    assert "told to proceed" in explained
    assert "the guard only observes; else its phase were: paused" in explained
    record = command("report", "backfill", "-c", str(house.file)).out
    assert re.search(r"paused +would have been 1 time by .* \(observe mode: nothing was ordered\)", record), record
    background_migration.close()
    daemon.kill()
    killed = time.time()
    wait_for(lambda: time.time() > killed + 4)
    migrating.wait_starts()
    assert migrating.lines("waits") == [] or migrating.lines("waits")[-1]["at"] < seen
    texts = [str(request.payload) for request in house.slack.requests]
    for said in ("backfill would be paused", "an unregistered migration would be cancelled"):
        assert any(f"{said} (observe mode: nothing was ordered)" in text for text in texts), said
    assert all("observe mode" in text for text in texts)


# -- rollback ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def hook(house: House, tmp_path: Path) -> Path:
    """A rollback hook that takes a while; what it was run for is in the file that is returned, a line each time."""
    script, runs = tmp_path / "rollback", tmp_path / "runs"
    script.write_text(f'#!/bin/sh\necho "$MIGRATION_GUARD_MIGRATION" >> {runs}\nsleep 0.7\necho undone\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    house.more = f'[rollback]\ncommand = ["{script}"]\ntimeout = "10s"\n'
    house.rules = ERRORS
    runs.touch()
    return runs


def test_errors_that_begin_with_a_migration_roll_it_back_once(house: House, hook: Path) -> None:
    daemon = house.serve()
    migrating = house.wait_migrating()
    house.wait_event("applied")
    house.load(0.08)
    assert migrating.wait(10) == 4
    rolling = house.wait_event("rolling_back")
    house.wait_event("rolled_back")
    assert "errors" in rolling[2]
    assert "8" in rolling[2]
    assert hook.read_text() == "backfill\n"
    house.load(0)
    assert house.order()["kind"] == "abort"
    assert house.migrate().wait(10) == 4  # it stays so until a human forgets it
    daemon.send(signal.SIGTERM)
    assert daemon.wait(5) == 0
    house.assert_all_told()
    house.database.execute("select migration_guard.forget('backfill', 'ana')")
    house.serve()
    again = house.wait_migrating()
    house.assert_kept_to_orders(migrating)
    assert again.lines("aborted") != []


def test_a_hook_that_is_gone_is_a_failed_rollback_and_the_migration_stays_aborted(house: House, hook: Path) -> None:
    house.serve()
    migrating = house.wait_migrating()
    house.wait_event("applied")
    hook.with_name("rollback").unlink()
    house.load(0.08)
    assert migrating.wait(10) == 4
    house.wait_event("rollback_failed")
    assert hook.read_text() == ""
    house.load(0)
    assert house.order()["kind"] == "abort"
    house.assert_all_told()
    assert "human must look" in str(house.slack.requests[-1].payload)


@pytest.mark.fault(5, 56)
@pytest.mark.parametrize("after", [0.3, 0.6, 0.9, 1.2])
def test_the_hook_runs_at_most_once_and_its_result_is_told_when_the_guard_is_killed_meanwhile(
    house: House, hook: Path, after: float
) -> None:
    daemon = house.serve()
    migrating = house.wait_migrating()
    house.wait_event("applied")
    house.load(0.08)
    breach = time.time()
    wait_for(lambda: time.time() > breach + after, every=0.005)
    daemon.kill()
    house.serve()
    wait_for(lambda: house.events("rolled_back") or house.events("rollback_failed"), within=15)
    assert migrating.wait(10) == 4
    runs = hook.read_text().splitlines()
    assert len(runs) <= 1
    assert (len(runs) == 1) is bool(house.events("rolled_back"))
    house.assert_all_told()
