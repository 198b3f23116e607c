"""The lag of a standby: never taken from a frozen column, never a zero for want of knowledge."""

import itertools

import pytest

from guard.model import Reading, Silence
from guard.poll.lag import Lag, LagClock, ReplyClock, Sender, behind, best, measure, named, samples, unheard


def clock_of(*history: tuple[float, int], timeline: str = "00000001") -> LagClock:
    clock = LagClock()
    for now, lsn in history:
        clock.advance(now, lsn, timeline)
    return clock


def sender(**changes: object) -> Sender:
    healthy: dict[str, object] = {
        "pid": 1,
        "name": "replica1",
        "state": "streaming",
        "positions_known": True,
        "replay_lsn": 1000,
        "replay_lag": None,
        "replied_wall": 1.0,
        "reply_age": 0.1,
    }
    return Sender(**{**healthy, **changes})  # type: ignore[arg-type]


def judge_one(row: Sender, lsn: int = 1000) -> Lag:
    return measure(row, lsn, 10.0, (clock_of((9.0, 900), (10.0, lsn)), ReplyClock(5.0, 15.0)))


def test_a_position_is_as_old_as_the_sample_in_which_the_primary_was_there() -> None:
    clock = clock_of((0.0, 100), (1.0, 200), (2.0, 300), (9.0, 400))
    assert clock.lag(200, None, 9.0) == (8.0, True)


def test_between_two_samples_the_age_is_interpolated() -> None:
    clock = clock_of((0.0, 100), (1.0, 200))
    assert clock.lag(150, None, 1.0) == (0.5, True)


def test_after_an_idle_time_lag_counts_from_its_end() -> None:
    clock = clock_of((0.0, 100), (30.0, 100), (60.0, 100), (61.0, 500))
    seconds, certain = clock.lag(100, None, 63.0)
    assert (seconds, certain) == (3.0, True)


@pytest.mark.parametrize(
    ("reported", "believed"),
    [
        pytest.param(None, 2.5, id="nothing"),
        pytest.param(0.03, 2.5, id="frozen low"),
        pytest.param(2.8, 2.8, id="plausible"),
        pytest.param(40.7, 3.0, id="stale from a lag that is over"),
    ],
)
def test_the_reported_lag_counts_only_within_what_was_seen(reported: float | None, believed: float) -> None:
    clock = clock_of((0.0, 100), (1.0, 200))
    assert clock.lag(150, reported, 3.0) == (believed, True)


def test_a_lag_older_than_the_first_sample_is_known_in_part_only() -> None:
    clock = clock_of((5.0, 1000), (6.0, 1100))
    assert clock.lag(10, None, 9.0) == (4.0, False)
    assert clock.lag(10, 33.0, 9.0) == (33.0, False)


def test_another_timeline_or_a_shorter_history_forgets_all_before() -> None:
    for lsn, timeline in ((2000, "00000002"), (500, "00000001")):
        clock = clock_of((0.0, 1000))
        assert not clock.advance(1.0, lsn, timeline)
        assert clock.lag(400, None, 4.0) == (3.0, False)


def test_what_was_written_since_a_look_long_ago_is_not_taken_for_as_old_as_that_look() -> None:
    """While nobody migrates the primary is looked at seldom, and who comes writes that he is there."""
    clock = clock_of((0.0, 100), (30.0, 200))
    assert clock.lag(100, None, 30.0) == (0.0, False)
    clock.advance(31.0, 300, "00000001")
    assert clock.lag(200, None, 31.0) == (1.0, True)
    assert clock.lag(100, None, 31.0) == (1.0, False)  # but who stays there has waited so long at least
    clock.advance(36.0, 300, "00000001")
    assert clock.lag(100, None, 36.0) == (36.0, True)


def test_a_standby_that_keeps_up_with_much_wal_is_measured_between_looks_that_lie_far_apart() -> None:
    clock = clock_of((0.0, 0), (10.0, 100_000))
    seconds, whole = clock.lag(99_900, None, 10.0)
    assert seconds == pytest.approx(0.01)
    assert whole


def test_a_long_lag_is_told_though_old_samples_are_thinned() -> None:
    clock = LagClock(capacity=64)
    for second in range(2000):
        clock.advance(float(second), second * 10, "00000001")
    seconds, certain = clock.lag(5000, None, 1999.0)
    assert certain
    assert seconds == pytest.approx(1499.0, abs=1.0)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"state": None}, "replica1 is in state unknown"),
        ({"state": "backup"}, "replica1 is in state backup"),
        ({"state": "startup"}, "replica1 is in state startup"),
        ({"positions_known": False}, "replica1 reports no WAL position"),
        ({"replay_lsn": None}, "replica1 reports no WAL position"),
        ({"reply_age": 16.0}, "replica1 has not replied for 16.0 s"),
        ({"replied_wall": None}, "replica1 reports no WAL position"),
    ],
)
def test_a_row_that_says_nothing_is_silence_and_not_zero(changes: dict[str, object], why: str) -> None:
    lag = judge_one(sender(**changes))
    assert lag.silent.startswith(why)


def test_nothing_to_replay_is_no_lag_whatever_the_column_says() -> None:
    assert judge_one(sender(replay_lag=9.3)) == Lag("replica1", 0.0, 0)


def test_wal_without_a_reply_is_silence_though_the_columns_stay() -> None:
    clocks = (LagClock(), ReplyClock(5.0, 15.0))
    frozen = sender()
    heard = []
    for second in range(8):
        clocks[0].advance(float(second), 1000 + 100 * second, "00000001")
        heard.append(measure(frozen, 1000 + 100 * second, float(second), clocks).silent)
    assert heard[:7] == [""] * 7  # WAL came after one second, and had five to be answered
    assert heard[7] == "replica1 has not replied for 7.0 s"


def test_an_idle_standby_may_be_silent_for_longer_and_not_for_ever() -> None:
    replies = ReplyClock(5.0, 15.0)
    assert replies.silent_for(sender(), 0.0, 1000) is None
    assert replies.silent_for(sender(), 14.0, 1000) is None
    assert replies.silent_for(sender(), 16.0, 1000) == 16.0
    assert replies.silent_for(sender(replied_wall=2.0), 17.0, 1000) is None


def test_wal_after_a_long_idle_time_does_not_make_a_standby_silent_at_once() -> None:
    replies = ReplyClock(5.0, 15.0)
    assert replies.silent_for(sender(), 0.0, 1000) is None
    assert replies.silent_for(sender(), 9.0, 2000) is None
    assert replies.silent_for(sender(), 14.5, 3000) == 14.5


def test_clocks_that_differ_between_the_servers_do_not_matter_once_replies_move() -> None:
    replies = ReplyClock(5.0, 15.0)
    assert replies.silent_for(sender(reply_age=3600.0), 0.0, 1000) == 3600.0
    assert replies.silent_for(sender(reply_age=3600.0, replied_wall=2.0), 1.0, 1100) is None


def test_an_expected_standby_without_a_row_is_named() -> None:
    found = named([Lag("stranger", 99.0, 1)], ["replica1"])
    assert [lag.silent for lag in found] == ["replica1 is not connected"]


def test_a_dead_connection_beside_a_live_one_of_the_same_name_is_left_out() -> None:
    rows = [Lag("replica1", silent="replica1 has not replied for 9.0 s"), Lag("replica1", 1.0, 5)]
    for order in itertools.permutations(rows):
        assert named(order, ["replica1"]) == [Lag("replica1", 1.0, 5)]


def test_a_number_of_standbys_means_the_best_of_them() -> None:
    rows = [Lag("a", 1.0, 5), Lag("b", 90.0, 9), Lag("c", 2.0, 1), Lag("d", silent="d is in state backup")]
    assert [lag.name for lag in best(rows, 2)] == ["a", "c"]
    missing = best(rows, 4)[-1].silent
    assert missing == "3 of 4 expected standbys can be measured; d is in state backup"


def test_a_silent_standby_leaves_no_reading_in_whatever_order_they_come() -> None:
    lags = [Lag("a", 1.0, 5), Lag("b", 90.0, 9), Lag("c", silent="c is not connected")]
    for order in itertools.permutations(lags):
        assert samples(order, 7.0) == (
            Silence("replication.lag", "c is not connected", 7.0, 90.0),
            Silence("replication.lag_bytes", "c is not connected", 7.0, 9.0),
        )


def test_the_slowest_of_all_is_the_reading() -> None:
    for order in itertools.permutations([Lag("a", 1.0, 5), Lag("b", 90.0, 9)]):
        assert samples(order, 7.0) == (
            Reading("replication.lag", 90.0, 7.0, "slowest standby: b"),
            Reading("replication.lag_bytes", 9.0, 7.0, "slowest standby: b"),
        )


def test_a_lag_known_in_part_is_a_silence_with_that_part_while_its_bytes_are_known() -> None:
    seconds, in_bytes = samples([Lag("a", 4.0, 5, certain=False)], 7.0)
    assert seconds == Silence("replication.lag", "not seen for long enough to tell the lag of a", 7.0, 4.0)
    assert isinstance(in_bytes, Reading)


def test_each_position_is_behind_by_itself_and_one_that_is_not_told_is_no_zero() -> None:
    row, replies = sender(state="catchup", write_lsn=900, flush_lsn=None), ReplyClock(5.0, 15.0)
    assert behind(row, row.write_lsn, (1000, 7.0), replies) == Lag("replica1", bytes=100, note="catching up")
    assert behind(row, row.flush_lsn, (1000, 7.0), replies).silent == "replica1 reports no WAL position"


def test_the_age_of_a_reply_is_by_the_guards_clock_once_replies_move() -> None:
    replies = ReplyClock(5.0, 15.0)
    assert unheard(sender(reply_age=30.0), (1000, 0.0), replies).seconds == 30.0
    assert unheard(sender(reply_age=3600.0, replied_wall=2.0), (1000, 1.0), replies).seconds == 0.0
    assert unheard(sender(reply_age=3600.0, replied_wall=2.0), (1000, 9.0), replies).seconds == 8.0
    assert unheard(sender(replied_wall=None), (1000, 9.0), replies).silent == "replica1 has not replied yet"
