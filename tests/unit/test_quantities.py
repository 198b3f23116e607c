"""Quantities as people write and read them: which text is one, and how one is said and written."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.judge.quantities import QuantityError, parse_duration, parse_quantity, say, say_seconds, write
from guard.model import Dimension

S, B, N, R = Dimension.SECONDS, Dimension.BYTES, Dimension.COUNT, Dimension.RATIO


@pytest.mark.parametrize(
    ("text", "value", "dimension"),
    [
        ("250ms", 0.25, S),
        ("5s", 5, S),
        ("1m30s", 90, S),
        ("1.5h", 5400, S),
        ("2d", 172800, S),
        ("100us", 1e-4, S),
        ("5 s", 5, S),
        ("0s", 0, S),
        ("1 m30 s", 90, S),
        ("36500d", 100 * 365 * 86400, S),
        ("1B", 1, B),
        ("1kB", 1024, B),
        ("64MB", 64 * 1024**2, B),
        ("1.5GB", 1.5 * 1024**3, B),
        ("2 TB", 2 * 1024**4, B),
        ("1%", 0.01, R),
        ("0.5 %", 0.005, R),
        ("3", 3, N),
        ("2.5", 2.5, N),
        (" 2.5 ", 2.5, N),
    ],
)
def test_a_quantity_is_read_in_the_base_unit_that_its_unit_tells(text: str, value: float, dimension: Dimension) -> None:
    read, found = parse_quantity(text)
    assert read == pytest.approx(value)
    assert found is dimension


@pytest.mark.parametrize(
    "text",
    [
        "", "s", "-5s", "+5s", "nan", "inf", "1e3s", "5s5s", "30s1m", "3s and > 2s", "5S", "5min", "5y", "1mm", "٣s",
        "1..5s", ".5s", "5.s", "0x5s",
    ],
)  # fmt: skip
def test_what_is_no_duration_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(QuantityError) as refused:
        parse_duration(text)
    assert str(refused.value) == f'"{text}" is no duration; write it like 250ms, 5s, 1m30s, 2h or 1d'


@pytest.mark.parametrize("text", ["5", " 5 ", "0", "2.5"])
def test_a_number_without_a_unit_is_no_duration_and_is_told_what_it_lacks(text: str) -> None:
    with pytest.raises(QuantityError) as refused:
        parse_duration(text)
    assert str(refused.value) == (
        f'"{text}" is no duration; a bare number has no unit; write it like 250ms, 5s, 1m30s, 2h or 1d'
    )


@pytest.mark.parametrize("text", ["36500d1s", "999999999d", "999999999999999w"])
def test_a_duration_of_more_than_a_century_is_refused_even_where_the_library_cannot_count_it(text: str) -> None:
    with pytest.raises(QuantityError) as refused:
        parse_duration(text)
    assert str(refused.value) == f'"{text}" is longer than 100 years'


@pytest.mark.parametrize("text", ["5KB", "5kb", "5 mb", "5PB", "5%%", "-1%", "nan", "inf", "1,5", "1_000", "5 apples"])
def test_what_is_no_quantity_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(QuantityError) as refused:
        parse_quantity(text)
    assert str(refused.value) == (
        f'"{text}" is no quantity; write a duration (250ms, 5s, 1m30s), a size (64kB, 10MB, 1GB), '
        "a percentage (1%) or a bare count (3), not negative"
    )


@pytest.mark.parametrize(
    ("value", "dimension", "words"),
    [
        (0, S, "0 s"), (0.0004, S, "0.4 ms"), (0.412, S, "412 ms"), (1, S, "1 s"), (7.4, S, "7.4 s"),
        (7.412, S, "7.41 s"), (60, S, "60 s"), (119, S, "119 s"), (120, S, "2 min"), (125, S, "2 min 5 s"),
        (125.6, S, "2 min 6 s"), (7199, S, "119 min 59 s"), (7200, S, "2 h"), (7259, S, "2 h"), (8000, S, "2 h 13 min"),
        (172799, S, "47 h 59 min"), (172800, S, "2 d"), (200000, S, "2 d 7 h"), (-2, S, "-2 s"),
        (12, B, "12 B"), (1024, B, "1 kB"), (1023 * 1024, B, "1023 kB"), (1024**2, B, "1 MB"),
        (1.2 * 1024**3, B, "1.2 GB"), (1024**4, B, "1 TB"), (5000 * 1024**4, B, "5000 TB"),
        (0, N, "0"), (3, N, "3"), (2.1, N, "2.1"), (120, N, "120"), (12345.6, N, "12346"),
        (9e14, N, "900000000000000"), (1e15, N, "1e+15"), (1.234e20, N, "1.23e+20"), (1e-9, N, "0.000000001"),
        (1.234e-10, N, "1.23e-10"), (0.052, R, "5.2 %"), (0, R, "0 %"), (1, R, "100 %"),
        (math.nan, N, "not a number"), (math.inf, N, "infinitely much"),
    ],
)  # fmt: skip
def test_a_value_is_said_in_the_unit_that_people_read(value: float, dimension: Dimension, words: str) -> None:
    assert say(value, dimension) == words


@pytest.mark.parametrize(
    ("value", "dimension", "words"),
    [
        (0.12345678, S, "123.457 ms"),
        (7.12345678, S, "7.12346 s"),
        (-7.12345678, S, "-7.12346 s"),
        (1.2345678 * 1024**3, B, "1.23457 GB"),
        (0.012345678, R, "1.23457 %"),
        (1234.56789, N, "1234.57"),
        (1.2345678e20, N, "1.23457e+20"),
    ],
)
def test_a_value_is_said_with_as_many_digits_as_are_asked_for(value: float, dimension: Dimension, words: str) -> None:
    assert say(value, dimension, 6) == words


def test_seconds_are_said_as_any_value_in_seconds_is() -> None:
    assert [say_seconds(value) for value in (0.412, 7.4123, 125)] == ["412 ms", "7.41 s", "2 min 5 s"]


@pytest.mark.parametrize(
    ("value", "dimension", "words"),
    [
        (0, S, "0s"),
        (1e-6, S, "1us"),
        (0.00012345678, S, "123.457us"),
        (1e-3, S, "1ms"),
        (0.12345678, S, "123.457ms"),
        (1, S, "1s"),
        (1.5, S, "1.5s"),
        (1234.56789, S, "1234.57s"),
        (44.8 * 1024**2, B, "44.8MB"),
        (0.007, R, "0.7%"),
        (2.1, N, "2.1"),
    ],
)
def test_a_quantity_is_written_in_one_unit_with_up_to_six_digits(
    value: float, dimension: Dimension, words: str
) -> None:
    assert write(value, dimension) == words


@given(st.sampled_from(list(Dimension)), st.floats(min_value=1e-3, max_value=1e9))
def test_what_is_written_is_read_back(dimension: Dimension, value: float) -> None:
    read, found = parse_quantity(write(value, dimension))
    assert found is dimension
    # A duration is read to the microsecond.
    assert read == pytest.approx(value, rel=1e-5, abs=1e-6 if dimension is Dimension.SECONDS else 0)
