"""The course of a signal keeps its worst values and its gaps, in bounded memory; moments are told in UTC."""

from __future__ import annotations

import pytest

from guard.judge.moments import say_clock, say_moment
from guard.judge.traces import POINTS, Trace


def test_values_fall_into_shares_of_time_each_with_its_worst_and_a_gap_where_nothing_was_known() -> None:
    trace = Trace(10.0)
    for now, value in ((10.0, 1.0), (11.9, 3.0), (11.95, 2.0), (14.0, 5.0)):
        trace.add(now, (value, now + 1000), marked=now == 11.9)
    trace.add(16.0, None, marked=True)
    assert trace.values == [3.0, None, 5.0, None]
    assert trace.marked == [True, False, False, True]
    assert trace.worst == (5.0, 1014.0)


def test_of_a_signal_that_must_not_be_low_the_least_value_is_the_worst() -> None:
    trace = Trace(0.0, less_is_worse=True)
    for value in (5.0, 3.0, 4.0):
        trace.add(0.0, (value, value), marked=False)
    assert (trace.values, trace.worst) == ([3.0], (3.0, 3.0))


def test_the_first_of_equal_worst_values_is_told() -> None:
    trace = Trace(0.0)
    trace.add(0.0, (5.0, 1.0), marked=False)
    trace.add(1.0, (5.0, 2.0), marked=False)
    assert trace.worst == (5.0, 1.0)


@pytest.mark.parametrize("hours", [1, 1000])
def test_however_long_a_run_is_a_peak_and_a_mark_of_a_moment_are_kept_in_few_points(hours: int) -> None:
    trace, seconds = Trace(0.0), hours * 3600
    for step in range(1000):
        now = seconds * step / 1000
        trace.add(now, (9.0 if step == 500 else 1.0, now), marked=step == 500)
    assert POINTS / 2 <= len(trace.values) <= POINTS
    assert len(trace.marked) == len(trace.values)
    assert abs(trace.values.index(9.0) - len(trace.values) / 2) <= 1
    assert trace.marked.index(True) == trace.values.index(9.0)
    assert [value for value in trace.values if value != 9.0] == [1.0] * (len(trace.values) - 1)


def test_after_hours_without_a_look_an_odd_share_is_folded_with_nothing() -> None:
    trace = Trace(0.0)
    for now in (0.0, 2.0, 4.0):
        trace.add(now, (now, now), marked=now == 4.0)
    trace.add(200.0, (7.0, 200.0), marked=False)
    assert trace.values[:2] == [2.0, 4.0]
    assert trace.marked[:2] == [False, True]
    assert trace.values[50:] == [7.0]


def test_a_time_before_its_beginning_counts_as_its_beginning() -> None:
    trace = Trace(100.0)
    trace.add(90.0, (1.0, 90.0), marked=False)
    assert trace.values == [1.0]


def test_a_moment_is_told_with_its_date_where_that_is_not_the_same() -> None:
    assert say_moment(86_399.0) == "1970-01-01 23:59:59 UTC"
    assert say_clock(86_399.0, 10.0) == "23:59:59 UTC"
    assert say_clock(86_400.0, 86_399.0) == "1970-01-02 00:00:00 UTC"
