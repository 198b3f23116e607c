"""Standbys that stop, as scenarios; and that the language's claims can fail."""

import pytest

from tests.acceptance.scenario import Play

pytestmark = pytest.mark.acceptance


@pytest.mark.fault(39)
def test_a_standby_that_stops_replaying_pauses_the_migration_until_it_has_caught_up(play: Play) -> None:
    play.at(1).freeze("replay")
    play.paused(within=3, because="replica1")
    play.no_batch_between(5, 6)
    play.thaw("replay").proceeds(within=4)
    play.never("cancelled").all_told()


def test_a_claim_that_is_not_so_fails(play: Play) -> None:
    play.begin()
    with pytest.raises(AssertionError):
        play.no_batch_between(0, 0.5)
    with pytest.raises(AssertionError):
        play.never("started")
