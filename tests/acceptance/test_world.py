"""The world's clock is set while the daemon runs: nothing changes but what people read."""

import time
from pathlib import Path

import pytest

from tests.acceptance.house import House
from tests.fix_matrix import Took
from tests.tools import another_time

pytestmark = pytest.mark.acceptance


@pytest.mark.fault(13)
def test_a_wall_clock_that_is_set_by_two_hours_stops_no_poll_and_changes_no_state(
    house: House, tmp_path: Path, took: Took
) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0\n")
    daemon = house.serve(environment=another_time(clock))
    migrating = house.wait_migrating()
    for count, offset in enumerate(("+2h", "-2h"), 1):
        # At once: half a file would be another time.
        clock.with_suffix(".new").write_text(offset + "\n")
        clock.with_suffix(".new").rename(clock)
        daemon.wait_says("the wall clock was set by " + ("+" if offset == "+2h" else "-"))
        assert len(house.events("paused")) == count - 1
        asked = time.time()
        house.load(9)
        _, at, words = house.wait_event("paused", count)
        assert "9 > 5" in words  # measured: it polls, and does not only age
        took(at - asked)
        house.load(0)
        house.wait_event("resumed", count)
        migrating.wait_starts()
    house.assert_kept_to_orders(migrating)
