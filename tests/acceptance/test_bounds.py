"""A migration that is paused again and again: the real daemon, killed in between, and a human who lets it go on."""

from __future__ import annotations

import pytest

from tests.acceptance.house import House
from tests.command import command

pytestmark = pytest.mark.acceptance


def test_the_third_pause_stays_through_a_kill_though_all_is_well_is_told_as_lasting_and_ends_by_a_humans_word(
    house: House,
) -> None:
    house.guard = 'flap = "3 in 10m"\nlongest_pause = "4s"\n'
    daemon = house.serve()
    migrating = house.wait_migrating()
    for count in (1, 2, 3):
        house.load(9)
        house.wait_order("pause")
        house.load(0)
        if count < 3:
            house.wait_event("resumed", count)
    house.wait_event("stays_paused")
    daemon.kill()
    daemon = house.serve()
    _, _, because = house.wait_event("pause_lasts", within=15.0)  # while the load is well below its limit
    assert because.endswith("paused 3 times in 10 min, so it stays paused until `migration-guard resume backfill`")
    house.assert_kept_to_orders(migrating)
    assert len(house.events("resumed")) == 2

    explained = command("explain", "backfill", "--dsn", house.database.dsn())
    assert "to let it go on once every rule is well: migration-guard resume backfill" in explained.out
    resumed = command("resume", "backfill", "--dsn", house.database.dsn(), "--owner", "anna")
    assert resumed.code == 0, resumed.said
    assert "backfill goes on once every rule is well" in resumed.out
    house.wait_event("resumed", 3)
    migrating.wait_starts()
    house.assert_each_row_once(migrating)
