"""A percentile from mean and deviation alone: near where times are lognormal, ordered and bounded whatever they are."""

import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.poll.estimate import Estimate, estimate

TIMES = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=200)


def of(times: list[float]) -> Estimate:
    return estimate(len(times), math.fsum(times), math.fsum(t * t for t in times))


@pytest.mark.parametrize("spread", [0.1, 0.5, 1.0])
def test_it_is_near_the_truth_where_times_are_lognormal(spread: float) -> None:
    normal = NormalDist(-3, spread)
    times = [math.exp(normal.inv_cdf((n + 0.5) / 20_000)) for n in range(20_000)]
    assert of(times).p95 == pytest.approx(times[19_000], rel=0.01)


def test_times_that_are_all_alike_have_that_percentile() -> None:
    same = of([0.25] * 4)
    assert (same.mean, same.p95, same.at_most) == (0.25, 0.25, 0.25)
    assert estimate(3, 0.0, 0.0) == Estimate(0.0, 0.0, 0.0, 0.0)
    # Rounding may leave the squares a little less than they can be.
    assert estimate(2, 2.0, 1.999999999) == Estimate(1.0, 0.0, 1.0, 1.0)


@given(TIMES)
def test_the_true_percentile_is_never_above_the_bound_nor_the_estimate_below_the_mean(times: list[float]) -> None:
    found = of(times)
    assert sum(t > found.at_most * (1 + 1e-6) for t in times) <= 0.05 * len(times)
    assert found.mean * (1 - 1e-9) <= found.p95 <= found.at_most
    assert found.p95 <= 3.88 * found.mean


@given(st.floats(1e-6, 1e3), st.floats(0, 100), st.floats(1, 10))
def test_it_grows_with_the_mean_and_with_the_deviation(mean: float, variation: float, more: float) -> None:
    def at(mean: float, variation: float) -> float:
        return estimate(1, mean, mean * mean * (1 + variation * variation)).p95

    assert at(mean * more, variation) >= at(mean, variation) * (1 - 1e-9)
    assert at(mean, variation * more) >= at(mean, variation) * (1 - 1e-6)
