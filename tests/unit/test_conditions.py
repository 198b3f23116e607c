"""Limits as people write them: what they mean, what they refuse, and what they say of a value."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.judge.conditions import (
    Answer,
    ConditionError,
    both_can_hold,
    complement,
    dimension_of,
    holds_for,
    parse_condition,
    parse_duration,
    say,
    truth,
)
from guard.judge.quantities import QuantityError, parse_quantity, write
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
        ("1B", 1, B),
        ("1kB", 1024, B),
        ("64MB", 64 * 1024**2, B),
        ("1.5GB", 1.5 * 1024**3, B),
        ("2 TB", 2 * 1024**4, B),
        ("1%", 0.01, R),
        ("0.5 %", 0.005, R),
        ("3", 3, N),
        ("2.5", 2.5, N),
    ],
)
def test_a_quantity_is_read_in_the_base_unit_that_its_unit_tells(text: str, value: float, dimension: Dimension) -> None:
    read, found = parse_quantity(text)
    assert read == pytest.approx(value)
    assert found is dimension


@pytest.mark.parametrize(
    "text",
    [
        "", "5", "s", "-5s", "+5s", "nan", "inf", "1e3s", "5s5s", "30s1m", "3s and > 2s", "5S", "5min", "5y", "1mm",
        "٣s", "999999999d", "1..5s", ".5s", "5.s", "0x5s",
    ],
)  # fmt: skip
def test_what_is_no_duration_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(QuantityError, match=r"write it like 250ms|longer than 100 years"):
        parse_duration(text)


def test_a_duration_beyond_what_the_library_can_count_is_refused_in_words() -> None:
    with pytest.raises(QuantityError, match="longer than 100 years"):
        parse_duration("999999999999999w")


@pytest.mark.parametrize("text", ["5KB", "5kb", "5 mb", "5PB", "5%%", "-1%", "nan", "inf", "1,5", "1_000", "5 apples"])
def test_what_is_no_quantity_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(QuantityError, match="write a duration"):
        parse_quantity(text)


def test_a_condition_is_its_terms_and_how_long_they_must_hold() -> None:
    condition = parse_condition(">  1.5x baseline and >200ms\tfor 30s")
    assert condition.text == "> 1.5x baseline and >200ms for 30s"
    assert [(t.op, t.limit.kind, t.limit.value) for t in condition.terms] == [
        (">", "factor", 1.5),
        (">", "absolute", 0.2),
    ]
    assert (condition.duration, condition.any_of) == (30, False)
    (offset,) = parse_condition("> baseline + 20 ms").terms
    assert (offset.limit.kind, offset.limit.value, offset.limit.text) == ("offset", 0.02, "baseline + 20ms")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no term"),
        ("5s", "is no term"),
        ("= 5s", "OP is >, >=, < or <="),
        (">> 5s", "is no term"),
        ("> ", "is no term"),
        ("for 5s", "is no term"),
        ("> 5s and", "is no quantity"),
        ("> 5s or > 3s", "write two rules"),
        ("> 5s for 3", "no unit"),
        ("> 5s for soon", "takes a duration"),
        ("> 5s for 3s and > 2s", "stands last"),
        ("> 5s for 3s for 4s", "stands last"),
        ("> nan", "is no quantity"),
        ("> inf", "is no quantity"),
        ("> -1s", "is no quantity"),
        ("> 5s and > 3MB", "must be a duration"),
        ("> 5s and < 2s", "never be true together"),
        ("> 5s and < 5s", "never be true together"),
        ("> 2x baseline and < 1.5x baseline", "never be true together"),
        (">= 0s", "always true"),
        ("< 0%", "never true"),
        ("> 0x baseline", "greater than 0"),
        ("> baseline + 0s", "greater than 0"),
        ("> baseline", "relative limits are"),
        ("> baseline + soon", "relative limits are"),
        ("> 1.5 times baseline", "relative limits are"),
    ],
)
def test_what_is_no_condition_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(ConditionError, match=words):
        parse_condition(text)


@pytest.mark.parametrize(
    ("text", "dimension", "words"),
    [
        ("> 5", S, "250ms"),
        ("> 5s", B, "64MB"),
        ("> 5s", N, "bare number"),
        ("> 5", R, "percentage"),
        ("> 0", S, "250ms"),
    ],
)
def test_a_limit_must_be_of_the_dimension_of_its_metric(text: str, dimension: Dimension, words: str) -> None:
    with pytest.raises(ConditionError, match=words):
        parse_condition(text, dimension)


def test_a_limit_relative_to_a_baseline_fits_any_dimension_by_factor_and_its_own_by_offset() -> None:
    assert dimension_of(parse_condition("> 1.5x baseline", B)) is None
    assert dimension_of(parse_condition("> 1.5x baseline and > baseline + 20ms")) is S
    with pytest.raises(ConditionError, match="64MB"):
        parse_condition("> baseline + 20ms", B)


@pytest.mark.parametrize(
    ("text", "resume"),
    [
        ("> 5s for 3s", "<= 3.5s for 10s"),
        (">= 3", "< 2.1 for 10s"),
        ("> 0", "<= 0 for 10s"),
        ("> 64MB", "<= 44.8MB for 10s"),
        ("> 1%", "<= 0.7% for 10s"),
        ("> 1ms", "<= 700us for 10s"),
        ("< 7s", ">= 10s for 10s"),
        ("<= 7", "> 7 for 10s"),
        ("< 2", ">= 2 for 10s"),
        ("> 1", "<= 1 for 10s"),
        (">= 1", "< 0.7 for 10s"),
        ("> 2", "<= 1.4 for 10s"),
        ("< 50%", ">= 71.4286% for 10s"),
        ("< 90%", ">= 93% for 10s"),
        ("< 100%", ">= 100% for 10s"),
        ("> 1.5x baseline and > 200ms for 30s", "<= 1.35x baseline or <= 140ms for 10s"),
        ("> 1x baseline", "<= 1x baseline for 10s"),
        ("> 0.5x baseline", "<= 0.35x baseline for 10s"),
        ("< 0.5x baseline", ">= 0.65x baseline for 10s"),
        ("< 1.4x baseline", ">= 2x baseline for 10s"),
        ("> baseline + 20ms", "<= baseline + 14ms for 10s"),
    ],
)
def test_the_default_resume_is_the_complement_at_70_percent_for_10_s(text: str, resume: str) -> None:
    given_, back = parse_condition(text), complement(parse_condition(text))
    assert back.text == resume
    assert back.duration == 10
    assert back.any_of == (len(given_.terms) > 1)
    assert not both_can_hold(given_, back)


@pytest.mark.parametrize(
    ("breach", "resume", "both"),
    [
        ("> 5s", "< 2s", False),
        ("> 5s", "<= 5s", False),
        (">= 5s", "<= 5s", True),
        ("> 5s", "< 8s", True),
        ("> 5s", "> 1s", True),
        ("< 5s", "> 8s", False),
        ("< 5s", "> 4s", True),
        ("> 1.5x baseline and > 200ms", "< 1.2x baseline", False),
        ("> 1.5x baseline and > 200ms", "< 300ms", True),
        ("> 1.5x baseline", "< 200ms", False),
    ],
)
def test_a_resume_that_can_hold_while_the_limit_is_breached_is_found(breach: str, resume: str, both: bool) -> None:
    assert both_can_hold(parse_condition(breach), parse_condition(resume)) is both


@pytest.mark.parametrize(
    ("text", "value", "answer", "words"),
    [
        ("> 5s", 7.4, Answer.YES, "7.4 s > 5 s"),
        ("> 5s", 5.0, Answer.NO, "5 s, not > 5 s"),
        (">= 5s", 5.0, Answer.YES, "5 s >= 5 s"),
        ("< 5s", 1.2, Answer.YES, "1.2 s < 5 s"),
        ("<= 3", 3.0, Answer.YES, "3 <= 3"),
        ("> 5s", 5.004, Answer.YES, "5.004 s > 5 s"),
        ("> 1%", 0.052, Answer.YES, "5.2 % > 1 %"),
        ("> 1GB", 1.2 * 1024**3, Answer.YES, "1.2 GB > 1 GB"),
        ("> 1s and < 9s", 5.0, Answer.YES, "5 s > 1 s and < 9 s"),
        ("> 1s and < 9s", 0.5, Answer.NO, "500 ms, not > 1 s"),
        ("> 5s", None, Answer.UNKNOWN, "no value"),
        ("> 5s", math.nan, Answer.UNKNOWN, "no value"),
        ("> 5s", math.inf, Answer.YES, "infinitely much > 5 s"),
        ("< 5s", math.inf, Answer.NO, "infinitely much, not < 5 s"),
        ("< 5s", -math.inf, Answer.UNKNOWN, "no value"),
        ("> 1.5x baseline", 9.0, Answer.UNKNOWN, "9, no baseline is taken yet"),
        ("> 1.5x baseline and > 200ms", 0.5, Answer.UNKNOWN, "500 ms, no baseline is taken yet"),
        ("> 1.5x baseline and > 200ms", 0.1, Answer.NO, "100 ms, not > 200 ms"),
    ],
)
def test_a_value_is_past_a_limit_or_not_or_it_cannot_be_known(
    text: str, value: float | None, answer: Answer, words: str
) -> None:
    judged = truth(parse_condition(text), value)
    assert (judged.answer, judged.words) == (answer, words)


def test_a_baseline_once_taken_decides() -> None:
    condition = parse_condition("> 1.5x baseline and > baseline + 20ms")
    judged = truth(condition, 0.412, baseline=0.2)
    assert judged.answer is Answer.YES
    assert judged.words == "412 ms > 1.5x baseline (300 ms) and > baseline + 20ms (220 ms)"
    assert truth(condition, 0.25, baseline=0.2).answer is Answer.NO
    assert truth(condition, 0.25, baseline=math.nan).answer is Answer.UNKNOWN


@pytest.mark.parametrize(
    ("text", "answer", "words"),
    [
        ("> 5s", Answer.YES, "at least 90 s > 5 s"),
        (">= 90s", Answer.YES, "at least 90 s >= 90 s"),
        ("> 95s", Answer.UNKNOWN, "at least 90 s, whether > 95 s is not known"),
        ("< 5s", Answer.NO, "at least 90 s, not < 5 s"),
        ("< 95s", Answer.UNKNOWN, "at least 90 s, whether < 95 s is not known"),
    ],
)
def test_a_lower_bound_proves_a_breach_and_never_that_all_is_well(text: str, answer: Answer, words: str) -> None:
    judged = truth(parse_condition(text), None, at_least=90.0)
    assert (judged.answer, judged.words) == (answer, words)


def test_of_alternatives_one_suffices_and_an_unknown_one_does_not_hide_a_true_one() -> None:
    resume = complement(parse_condition("> 1.5x baseline and > 200ms"))
    assert truth(resume, 0.1).answer is Answer.YES
    assert truth(resume, 0.1).words == "100 ms <= 140 ms"
    assert truth(resume, 0.2).answer is Answer.UNKNOWN
    assert truth(resume, 0.2, baseline=0.1).answer is Answer.NO


@pytest.mark.parametrize(
    ("value", "dimension", "words"),
    [
        (0, S, "0 s"), (0.0004, S, "0.4 ms"), (0.412, S, "412 ms"), (7.4, S, "7.4 s"), (7.412, S, "7.41 s"),
        (60, S, "60 s"), (125, S, "2 min 5 s"), (7200, S, "2 h"), (8000, S, "2 h 13 min"), (200000, S, "2 d 7 h"),
        (-2, S, "-2 s"), (12, B, "12 B"), (1023 * 1024, B, "1023 kB"), (1.2 * 1024**3, B, "1.2 GB"), (3, N, "3"),
        (2.1, N, "2.1"), (12345, N, "12345"), (1e20, N, "1e+20"), (0.052, R, "5.2 %"), (math.nan, N, "not a number"),
        (math.inf, N, "infinitely much"), (0, N, "0"),
    ],
)  # fmt: skip
def test_a_value_is_said_in_the_unit_that_people_read(value: float, dimension: Dimension, words: str) -> None:
    assert say(value, dimension) == words


def test_how_long_a_condition_holds_is_said_with_how_long_it_must() -> None:
    condition = parse_condition("> 5s for 3s")
    assert holds_for(condition) == "for 3 s"
    assert holds_for(condition, 1.2) == "for 1.2 s of 3 s"
    assert holds_for(condition, 4.5) == "for 4.5 s"
    assert holds_for(parse_condition("> 5s"), 9) == ""


@given(st.text(max_size=40) | st.text(alphabet="><= 0123456789.smhkMGB%xandforbaseline+", max_size=40))
def test_any_text_is_either_a_condition_or_refused(text: str) -> None:
    try:
        condition = parse_condition(text)
    except ConditionError:
        return
    assert all(math.isfinite(term.limit.value) and term.limit.value >= 0 for term in condition.terms)
    assert parse_condition(condition.text) == condition
    assert not both_can_hold(condition, complement(condition))


@given(st.sampled_from(list(Dimension)), st.floats(min_value=1e-3, max_value=1e9))
def test_what_is_written_is_read_back(dimension: Dimension, value: float) -> None:
    read, found = parse_quantity(write(value, dimension))
    assert found is dimension
    assert read == pytest.approx(value, rel=1e-5)


@given(st.floats(min_value=0, max_value=1e6), st.floats(min_value=1e-3, max_value=1e6))
def test_a_breach_and_its_default_resume_never_hold_at_once(value: float, limit: float) -> None:
    breach = parse_condition(f"> {write(limit, S)}")
    both = {truth(breach, value).answer, truth(complement(breach), value).answer}
    assert both != {Answer.YES}
