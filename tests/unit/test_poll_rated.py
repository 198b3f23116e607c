"""A counter's growth per second: near the truth whatever the way takes, never negative, and silent where unknown."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.model import Dimension, Reading, Sample, Silence
from guard.poll.rated import BLUR, LEAST, RatedProbe
from guard.poll.samples import silences
from guard.ports import Observation
from tests.fakes import make_rule

RULE = dataclasses.replace(make_rule(), sensor="http:errors|as=rate", dimension=Dimension.COUNT, stale_after=5.0)


class Counter:
    """A probe of one counter. Each poll takes *way* seconds; None in place of a value is a silence."""

    name, cheap = "http:errors", False

    def __init__(self) -> None:
        self.now, self.way, self.era = 0.0, 0.0, "one"
        self.value: float | None = 0.0

    async def poll(self) -> Observation:
        asked, self.now = self.now, self.now + self.way
        if self.value is None:
            return self.silence("no answer in time", self.now)
        return Observation((Reading(self.name, self.value, asked),))

    def silence(self, why: str, now: float) -> Observation:
        return silences((self.name,), why, now)

    async def close(self) -> None:
        """Nothing is open."""


class Eye:
    """Polls at times of the test's own."""

    def __init__(self, *, rest: float = 0.0) -> None:
        self.counter = counter = Counter()
        self.probe = RatedProbe(counter, RULE, rest=rest, era=lambda: counter.era, clock=lambda: counter.now)

    def look(self, at: float, value: float | None, *, way: float = 0.0) -> Sample:
        self.counter.now, self.counter.value, self.counter.way = at, value, way
        (sample,) = asyncio.run(self.probe.poll()).samples
        assert sample.sensor == RULE.sensor
        return sample

    def why(self, at: float, value: float | None, *, way: float = 0.0) -> str:
        sample = self.look(at, value, way=way)
        assert isinstance(sample, Silence), sample
        return sample.why

    def rate(self, at: float, value: float, *, way: float = 0.0) -> float:
        sample = self.look(at, value, way=way)
        assert isinstance(sample, Reading), sample
        assert sample.taken_at == at
        return sample.value


def test_two_looks_make_a_rate_and_say_of_what() -> None:
    eye = Eye()
    assert eye.why(0, 120) == "first look, and a rate takes two looks"
    sample = eye.look(2, 150)
    assert isinstance(sample, Reading)
    assert (sample.value, sample.detail) == (15.0, "grew by 30 in 2 s")
    assert eye.rate(3, 150) == 0.0  # between these two, and no older


def test_a_counter_that_fell_began_anew_and_costs_one_look() -> None:
    eye = Eye()
    eye.look(0, 120)
    eye.look(1, 130)
    assert eye.why(2, 3) == "the counter fell from 130 to 3: it began anew, and a rate takes two looks"
    assert eye.rate(3, 10) == 7.0


def test_another_server_has_another_counter() -> None:
    eye = Eye()
    eye.look(0, 120)
    eye.counter.era = "two"
    assert "another server" in eye.why(1, 500_000)
    assert eye.rate(2, 500_001) == 1.0


def test_after_a_silence_the_rate_goes_on_over_the_gap_and_after_a_long_one_anew() -> None:
    eye = Eye()
    eye.look(0, 100)
    assert eye.why(1, None) == "no answer in time"
    assert eye.rate(4, 140) == 10.0
    assert eye.why(9.5, 200) == "not looked at for 5.5 s, and a rate takes two looks"
    assert eye.rate(10.5, 201) == 1.0


def test_the_looks_of_rest_make_a_rate_too_of_which_a_baseline_can_be_made() -> None:
    eye = Eye(rest=10.0)
    eye.look(0, 100)
    assert eye.rate(10.2, 202) == pytest.approx(10.0)
    assert "not looked at for 16 s" in eye.why(26.2, 300)


def test_looks_that_lie_close_together_reach_further_back_for_the_other_one() -> None:
    eye = Eye()
    eye.look(0, 0)
    assert "500 ms apart" in eye.why(0.25, 1)
    assert eye.rate(0.5, 1) == 2.0
    assert eye.rate(0.75, 1) == 0.0  # against the look of 0.25


def test_an_answer_that_was_long_on_its_way_is_measured_against_an_older_look_or_not_at_all() -> None:
    eye = Eye()
    eye.look(0, 0)
    assert eye.rate(1, 10) == 10.0
    # Counted somewhere between 2 and 4; of the look a moment before nobody could say over how long.
    assert eye.rate(2, 30, way=1.0) == pytest.approx(12.0)
    eye = Eye()
    eye.look(0, 0, way=1.5)
    assert eye.why(1.5, 10, way=1.5) == "answers take too long to say when they counted"


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_an_infinite_counter_is_a_silence_and_is_not_remembered(value: float) -> None:
    eye = Eye()
    eye.look(0, 1)
    assert eye.why(1, value) == "the counter is infinite"
    assert eye.rate(2, 3) == 1.0


def test_a_poll_that_was_given_up_is_a_silence_of_the_rule() -> None:
    (sample,) = Eye().probe.silence("no answer within 2 s", 1.0).samples
    assert (sample.sensor, RatedProbe(Counter(), RULE).name) == (RULE.sensor, "http:errors")


def looked(polls: Iterable[tuple[float, float, float]], rate: float) -> Iterable[Sample]:
    """What is read of a counter that grows steadily; each poll: seconds since the last, its way, when it counted."""
    eye, now = Eye(), 0.0
    for pause, way, share in polls:
        now += pause
        yield eye.look(now, rate * (now + share * way), way=way)
        now += way


@given(
    st.lists(st.tuples(st.floats(0.01, 7), st.floats(0, 2.5), st.floats(0, 1)), min_size=2, max_size=40),
    st.floats(0.1, 1e6),
)
def test_a_steady_counter_is_read_within_a_quarter_of_the_truth(
    polls: list[tuple[float, float, float]], rate: float
) -> None:
    for sample in looked(polls, rate):
        if isinstance(sample, Reading):
            assert (1 - BLUR) * rate * 0.999 <= sample.value <= (1 + BLUR) * rate * 1.001


@given(st.lists(st.tuples(st.floats(0, 4), st.integers(0, 100)), max_size=60))
def test_whatever_a_counter_does_its_rate_is_never_negative_nor_of_less_than_half_a_second(
    polls: list[tuple[float, int]],
) -> None:
    eye, now, highest = Eye(), 0.0, 100 / LEAST
    for pause, value in polls:
        now += pause
        sample = eye.look(now, float(value))
        assert isinstance(sample, Silence) or 0 <= sample.value <= highest
