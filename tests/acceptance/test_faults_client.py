"""A migration whose guard never came, whose own clock is wrong, or which stands still at the worst moment."""

import signal
import time
from pathlib import Path

import pytest

from tests.acceptance.house import FRESH_FOR, LEASE, NOISE, House
from tests.fix_matrix import Took
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance


@pytest.mark.fault(61)
def test_without_a_guard_it_waits_as_long_as_it_was_told_says_why_and_ends_with_75(house: House, took: Took) -> None:
    never = house.migrate(give_up_after=1.0)
    assert never.wait() == 75
    assert never.starts == []
    assert "no lease" in never.lines("waits")[0]["words"]
    assert "has no guard" in never.lines("lost")[0]["words"]

    daemon = house.serve()
    migrating = house.wait_migrating(name="second", give_up_after=1.0)
    killed = daemon.kill()
    assert migrating.wait(LEASE + 1 + 5) == 75
    lost = migrating.lines("lost")[0]["at"]
    took(lost - killed)
    assert lost < killed + LEASE + 1.0 + 2 * NOISE
    assert max(migrating.starts) < killed + LEASE + FRESH_FOR + NOISE


@pytest.mark.fault(62)
def test_a_migration_whose_clock_is_an_hour_wrong_pauses_goes_on_and_holds_like_any_other(
    house: House, took: Took
) -> None:
    daemon = house.serve()
    runs = [house.wait_migrating(name=name, wrong_by=by) for name, by in (("ahead", 3600.0), ("behind", -3600.0))]
    for migrating in runs:  # the clocks are as wrong as they are meant to be
        assert abs(migrating.starts[-1] - time.time()) < 60
    house.load(9)
    paused = [house.wait_event("paused", count)[1] for count in (1, 2)]
    wait_for(lambda: time.time() > max(paused) + 1)
    house.load(0)
    resumed = [house.wait_event("resumed", count)[1] for count in (1, 2)]
    for migrating in runs:
        forbidden = (max(paused) + FRESH_FOR + NOISE / 2, min(resumed))
        assert [at for at in migrating.starts if forbidden[0] < at < forbidden[1]] == []
        migrating.wait_starts()
    killed = daemon.kill()
    wait_for(lambda: time.time() > killed + LEASE + FRESH_FOR + NOISE + 0.5, within=LEASE + 3)
    for migrating in runs:
        took(max(migrating.starts) - killed)
        assert killed + 0.5 < max(migrating.starts) < killed + LEASE + FRESH_FOR + NOISE
    assert house.events("gone") == []


@pytest.mark.fault(60)
@pytest.mark.parametrize("where", ["fetching the batch", "in the batch's transaction"])
def test_one_that_stood_still_after_it_had_asked_begins_no_batch_in_the_pause_that_came_meanwhile(
    house: House, where: str
) -> None:
    house.serve()
    migrating = house.migrate(stops=where, stop_after=5)
    stopped = wait_for(lambda: migrating.lines("stops"))[0]
    wait_for(lambda: Path(f"/proc/{migrating.child.pid}/stat").read_text().split()[2] == "T")
    house.load(9)
    house.wait_event("paused")
    # Within that time it may still go by the answer that it has.
    wait_for(lambda: time.time() > stopped["at"] + 2 * FRESH_FOR)
    woken = time.time()
    migrating.send(signal.SIGCONT)
    wait_for(lambda: [line for line in migrating.lines("waits") if line["at"] > stopped["at"]])
    assert [line for line in migrating.lines("committed") if line["at"] > stopped["at"]] == []
    assert time.time() - woken < 2
    house.load(0)
    wait_for(lambda: [line for line in migrating.lines("committed") if line["at"] > stopped["at"]])
    house.assert_kept_to_orders(migrating)
    house.assert_each_row_once(migrating)
