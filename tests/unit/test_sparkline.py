"""A series as a line of bars: true to the values, with gaps and marks that can be seen."""

from __future__ import annotations

import math

import pytest

from guard.judge.sparkline import line


@pytest.mark.parametrize(
    ("values", "width", "wanted"),
    [
        ([], 8, ""),
        ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 8, "▁▂▃▄▅▆▇█"),
        ([7.0], 8, "█"),
        ([0.0, 0.0], 8, "▁▁"),
        ([-4.0, 0.0, 4.0], 8, "▁▅█"),
        ([6.0, 8.0], 8, "▇█"),
        ([1.0, None, 8.0], 8, "▂·█"),
        ([None, None], 8, "··"),
        ([1.0, math.nan, 8.0], 8, "▂·█"),
        ([1.0, math.inf, 8.0, -math.inf], 8, "▂██▁"),
        ([math.inf, 0.0], 8, "█▁"),
        ([0.0, 8.0, 0.0, 0.0], 2, "█▁"),
        ([0.0, 8.0, 0.0, 0.0], 0, "█"),
        ([0.0, 8.0, None, None, 0.0], 3, "▁█▁"),
    ],
)
def test_each_bar_shows_the_greatest_value_of_its_share(values: list[float | None], width: int, wanted: str) -> None:
    assert line(values, width) == wanted


@pytest.mark.parametrize(
    ("marked", "wanted"),
    [
        ([False, True, True, False], "▁[▅█]▁"),
        ([True], "[▁]▅█▁"),
        ([False, False, True, True], "▁▅[█▁]"),
        ([True, True, True, True, True], "[▁▅█▁]"),
    ],
)
def test_what_is_marked_stands_in_brackets(marked: list[bool], wanted: str) -> None:
    assert line([0.0, 4.0, 8.0, 0.0], marked=marked) == wanted


def test_a_bar_of_several_values_is_marked_where_one_of_them_is() -> None:
    assert line([0.0, 4.0, 8.0, 0.0], 2, marked=[False, True, False, False]) == "[▅]█"


def test_a_scale_may_be_given_and_what_is_beyond_it_fills_its_bar() -> None:
    assert line([1.0, 4.0, 12.0], top=8.0) == "▂▅█"
