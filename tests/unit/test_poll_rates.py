"""Rates from own samples: never negative, never a guess, and no value where the counters began anew."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.model import Reading, Silence
from guard.poll.database import READS, backlog, mean_time
from guard.poll.rates import Counters


def counters(*samples: tuple[float, float], era: object = None) -> Counters:
    found = Counters()
    for now, value in samples:
        found.add(now, {"n": value}, era)
    return found


def test_one_look_is_no_rate() -> None:
    seen = counters((0, 100))
    assert seen.grown("n") is None
    assert "two looks" in seen.why


def test_growth_is_that_of_the_window_and_no_older() -> None:
    assert counters((0, 100), (1, 110), (2, 130)).grown("n") == (30, 2)
    assert counters((0, 0), (50, 1000), (55, 1010)).grown("n") == (10, 5)
    assert counters((0, 0), (50, 1000), (55, 1010)).grown("n", 60) == (1010, 55)
    assert counters((0, 0), (30, 60)).grown("n") == (60, 30)


@pytest.mark.parametrize(
    ("after", "words"), [((1, 5, "a"), "reset"), ((1, 200, "b"), "reset"), ((200, 200, "a"), "not looked at for 200 s")]
)
def test_a_reset_another_era_and_a_long_gap_each_cost_one_interval(after: tuple[float, float, str], words: str) -> None:
    seen = counters((0, 100), era="a")
    now, value, era = after
    seen.add(now, {"n": value}, era)
    assert seen.grown("n") is None
    assert words in seen.why
    seen.add(now + 1, {"n": value + 7}, era)
    assert seen.grown("n") == (7, 1)


@given(st.lists(st.tuples(st.floats(0.01, 100), st.integers(0, 1000)), min_size=2, max_size=200))
def test_no_growth_is_negative_or_older_than_a_minute(steps: list[tuple[float, int]]) -> None:
    seen, now = Counters(), 0.0
    for step, value in steps:
        now += step
        seen.add(now, {"n": float(value)})
        grown = seen.grown("n", 60.0)
        assert grown is None or (grown[0] >= 0 and 0 < grown[1] <= 60.001)


def test_what_is_summed_up_from_rounded_figures_may_go_back_by_a_trifle() -> None:
    found = Counters()
    found.add(0, {"n": 1}, None, {"squares": 5.0})
    found.add(1, {"n": 2}, None, {"squares": 4.75})
    assert found.grown("n") == (1, 1)
    assert found.grown("squares") == (-0.25, 1)


def reads(*samples: tuple[float, float, float]) -> Counters:
    found = Counters()
    for now, blocks, seconds in samples:
        found.add(now, {"count": blocks, "time": seconds})
    return found


def test_the_time_of_a_read_is_the_mean_of_those_that_were_timed() -> None:
    found = mean_time(READS, reads((0, 10, 1.0), (2, 14, 1.5)), 2.0, on=True)
    assert found == Reading("database.read_latency", 0.125, 2.0, "4 blocks in 2 s")


@pytest.mark.parametrize(
    ("samples", "timed", "words"),
    [
        ([(0, 10, 1.0), (2, 14, 1.02)], False, "track_io_timing is off"),
        ([(0, 10, 1.0)], True, "two looks"),
        ([(0, 10, 1.0), (2, 10, 1.0)], True, "no block was read in 2 s"),
    ],
)
def test_reads_that_were_not_timed_or_not_made_have_no_time(
    samples: list[tuple[float, float, float]], timed: bool, words: str
) -> None:
    found = mean_time(READS, reads(*samples), 2.0, on=timed)
    assert isinstance(found, Silence)
    assert words in found.why
    assert found.abstains is ("no block" in words)  # what fits into memory need not be read, and that is well


def archive(**given: object) -> dict[str, object]:
    usual = {"mode": "on", "archived": "0000000100000002000000FE", "newest": "000000010000000300000002"}
    return {**usual, "failing": False, "segment_bytes": 16 << 20, **given}


def test_the_archive_lacks_the_whole_segments_in_between_also_across_a_log_file() -> None:
    sample = backlog(archive(), 0.0)
    assert isinstance(sample, Reading)
    assert sample.value == 3  # ...02 FF, ...03 00 and ...03 01
    assert backlog(archive(archived="000000010000000300000002.00000028.backup"), 0.0) == Reading(
        "wal.archive_backlog", 0.0, 0.0, "archived last: 000000010000000300000002.00000028.backup"
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"mode": "off"}, "archive_mode is off"),
        ({"archived": None}, "no WAL segment was archived"),
        ({"archived": None, "failing": True}, "the last try has failed"),
        ({"archived": "00000002.history"}, "no WAL segment was archived"),
        ({"newest": "000000020000000300000002"}, "of timeline 00000001, not of 00000002"),
    ],
)
def test_an_archive_of_which_nothing_can_be_told_is_a_silence(given: dict[str, object], words: str) -> None:
    sample = backlog(archive(**given), 0.0)
    assert isinstance(sample, Silence)
    assert words in sample.why
