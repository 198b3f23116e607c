"""Baselines: what one figure is made of many samples, what cannot move it, and when it is refused."""

from __future__ import annotations

import dataclasses
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import Refused
from guard.judge.baselines import LEAST, MOST, Gathering, question, take, usable, words
from guard.model import Baseline, Dimension
from tests.fakes import WALL, make_rule

VALUES = st.lists(st.floats(-1e6, 1e6, width=32), min_size=LEAST, max_size=60)


def samples(values: list[float], every: float = 10.0) -> list[tuple[float, float]]:
    return [(WALL + n * every, value) for n, value in enumerate(values)]


def baseline(values: list[float]) -> Baseline:
    return take(samples(values), "q", 60.0)


def test_it_is_the_median_with_its_spread_and_says_of_what() -> None:
    known = take(samples([0.040, 0.041, 0.042] * 10 + [9.0]), "q", 300.0)
    assert (known.value, known.count, known.since_wall, known.until_wall) == (0.041, 31, WALL, WALL + 300)
    assert known.spread == pytest.approx(0.0014826)
    assert words(known, Dimension.SECONDS) == "baseline 41 ms (median of 31 over 5 min, spread 1.48 ms)"
    asked = dataclasses.replace(known, source="Prometheus")
    assert "median of 31 from Prometheus over 5 min" in words(asked, Dimension.SECONDS)


@given(VALUES, st.randoms(use_true_random=False))
def test_the_order_of_the_samples_makes_no_difference(values: list[float], chance: random.Random) -> None:
    ordered = samples(values)
    shuffled = list(ordered)
    chance.shuffle(shuffled)
    assert take(shuffled, "q", 60.0) == take(ordered, "q", 60.0)


@given(VALUES, st.floats(-1e12, 1e12), st.data())
def test_one_outlier_moves_it_no_further_than_to_its_neighbours(
    values: list[float], outlier: float, data: st.DataObject
) -> None:
    ranked = sorted(values)
    middle = len(values) // 2
    spoilt = list(values)
    spoilt[data.draw(st.integers(0, len(values) - 1))] = outlier
    assert ranked[middle - 2] <= baseline(spoilt).value <= ranked[min(middle + 1, len(values) - 1)]


@given(VALUES, st.floats(0, 1e6, width=32))
def test_what_is_greater_everywhere_has_no_lesser_baseline_and_the_same_spread(
    values: list[float], shift: float
) -> None:
    before, after = baseline(values), baseline([value + shift for value in values])
    assert after.value >= before.value
    assert after.value == pytest.approx(before.value + shift, abs=1e-6)
    assert after.spread == pytest.approx(before.spread, abs=1e-6)


@pytest.mark.parametrize(
    ("count", "every", "why"),
    [
        (0, 10.0, "0 of 30 readings"),
        (LEAST - 1, 10.0, "29 of 30 readings"),
        (LEAST, 1.0, "30 readings of 29 s, and 3 min are needed"),
    ],
)
def test_too_few_samples_and_samples_of_one_moment_are_refused_in_words(count: int, every: float, why: str) -> None:
    with pytest.raises(Refused) as refused:
        take(samples([1.0] * count, every), "q", 1800.0)
    assert str(refused.value) == why
    assert words(why, Dimension.SECONDS) == f"no baseline is taken yet ({why})"


def test_samples_that_just_span_their_share_of_the_window_are_a_baseline_with_its_question_and_its_source() -> None:
    known = take(samples([1.0] * 31, 6.0), "q", 1800.0, "Prometheus")
    assert known == Baseline("q", 1.0, 0.0, 31, WALL, WALL + 180, "Prometheus")


def test_a_window_is_read_as_often_as_the_source_is_asked_at_rest_and_no_more_than_needed() -> None:
    usual = Gathering()
    assert (usual.most, usual.spacing) == (MOST, 9.0)
    assert usual.most * usual.spacing / 0.9 == usual.window
    seldom = Gathering(idle_interval=120.0)
    assert (seldom.most, seldom.spacing) == (15, 108.0)
    often = Gathering(window=6.0, idle_interval=0.1)
    assert often.most == 60


def test_only_what_was_measured_within_the_time_counts() -> None:
    mixed = [(1.0, 5.0), (2.0, math.nan), (2.0, math.inf), (3.0, 6.0), (4.0, 7.0)]
    assert usable(mixed, 1.5, 3.5) == [(3.0, 6.0)]
    assert usable(mixed, 1.0, 3.0) == [(1.0, 5.0), (3.0, 6.0)]


def test_other_limits_ask_the_same_and_another_query_does_not() -> None:
    rule = dataclasses.replace(make_rule(), query="select 1")
    assert question(dataclasses.replace(make_rule(pause="> 9s", warn="> 2s"), query="select 1")) == question(rule)
    assert question(dataclasses.replace(rule, query="select 2")) != question(rule)
    assert question(dataclasses.replace(rule, scale=0.001)) != question(rule)


def test_a_question_is_known_again_by_a_later_version() -> None:
    assert question(make_rule()) == "lag sensor#82b7ff9b"
