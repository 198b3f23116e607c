"""Processes are killed at random moments: nothing forbidden is done, nothing is done twice, nothing is left untold."""

import functools
import random
import shutil
import time

import pytest

from tests.acceptance.house import FRESH_FOR, LEASE, NOISE, House
from tests.fix_matrix import Took
from tests.slack_server import Answer
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance


@pytest.fixture
def rng() -> random.Random:
    """Random moments; the seed is in the report of a failure."""
    seed = random.randrange(10**6)  # noqa: S311 -- not a secret
    print(f"seed {seed}")
    return random.Random(seed)  # noqa: S311 -- not a secret


@pytest.mark.fault(1)
def test_a_migration_whose_guard_was_killed_stops_by_the_lease_and_goes_on_with_the_next_guard(
    house: House, took: Took
) -> None:
    daemon = house.serve()
    migrating = house.wait_migrating()
    killed = daemon.kill()
    wait_for(lambda: time.time() > killed + LEASE + FRESH_FOR + 1, within=LEASE + 3)
    assert max(migrating.starts) < killed + LEASE + FRESH_FOR + NOISE
    took(max(migrating.starts) - killed)
    assert max(migrating.starts) > killed + 0.5  # what the guard said last was good for a while
    assert "has been silent for" in migrating.lines("waits")[-1]["words"]
    term = house.lease()["term"]

    house.serve()
    migrating.wait_starts()
    assert house.lease()["term"] == term + 1
    assert house.order()["kind"] == "proceed"


@pytest.mark.fault(1, 8)
def test_a_guard_killed_ten_times_while_the_migration_runs_lets_no_batch_begin_in_a_pause_and_tells_all(
    house: House, rng: random.Random
) -> None:
    daemon = house.serve()
    migrating = house.wait_migrating(work=0.01)
    for _ in range(10):
        house.load(rng.choice((0, 0, 9)))
        time.sleep(rng.uniform(0.0, 1.8))  # while it starts, takes the lead, judges, or tells
        daemon.kill()
        daemon = house.serve(wait=False)
    house.load(0)
    daemon.wait_says("guarding ")
    house.wait_order("proceed")
    migrating.wait_starts()
    house.assert_kept_to_orders(migrating)
    migrating.kill()
    house.assert_each_row_once(migrating)
    house.assert_all_told()


def leads_anew(house: House, term: int) -> bool:
    return bool(house.lease()["term"] > term)


@pytest.mark.fault(2)
def test_a_guard_killed_ten_times_while_paused_keeps_the_pause_its_reason_and_since_when(
    house: House, rng: random.Random, took: Took
) -> None:
    daemon = house.serve()
    migrating = house.wait_migrating()
    house.load(9)
    paused = house.wait_event("paused")
    told = house.order()
    for number in range(10):
        time.sleep(rng.uniform(0.0, 0.8 if number % 2 else 0.3))  # every other time while it starts
        daemon.kill()
        killed, term = time.time(), house.lease()["term"]
        daemon = house.serve(wait=number % 2 == 1)
        if number % 2:
            wait_for(functools.partial(leads_anew, house, term))
            took(time.time() - killed)
        assert house.wait_order("pause") == told
    assert len(house.events("paused")) == 1
    assert max(migrating.starts) < paused[1] + FRESH_FOR + NOISE
    house.load(0)
    house.wait_event("resumed")
    migrating.wait_starts()
    house.assert_kept_to_orders(migrating)
    house.assert_all_told()


def test_a_migration_killed_ten_times_in_the_middle_of_a_batch_applies_each_row_once(
    house: House, rng: random.Random
) -> None:
    house.serve()
    for _ in range(10):
        migrating = house.migrate(work=0.1)
        migrating.wait_starts(2)
        time.sleep(rng.uniform(0.0, 0.1))
        migrating.kill()
    migrating = house.wait_migrating()
    migrating.kill()
    house.assert_each_row_once(migrating)
    house.assert_kept_to_orders(migrating)
    outcomes = house.database.execute("select outcome from migration_guard.run order by run_id")
    assert [row[0] for row in outcomes[:10]] == ["gone"] * 10


def test_what_a_killed_guard_had_not_told_is_told_from_the_audit_trail_although_its_disk_is_lost(house: House) -> None:
    house.slack.script += [Answer(503, "down")] * 100
    daemon = house.serve()
    house.wait_migrating()
    house.load(9)
    house.wait_event("paused")
    daemon.kill()
    shutil.rmtree(house.directory / "state")
    house.slack.script.clear()
    assert house.slack.taken == []
    house.serve()
    house.assert_all_told()
    assert len(house.slack.taken) >= 2
