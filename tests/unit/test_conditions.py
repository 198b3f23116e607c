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
    parse_condition,
    truth,
)
from guard.judge.quantities import write
from guard.model import Condition, Dimension, Limit, Term

S, B, N, R = Dimension.SECONDS, Dimension.BYTES, Dimension.COUNT, Dimension.RATIO


def test_a_condition_is_its_terms_and_how_long_they_must_hold() -> None:
    condition = parse_condition(">  1.5x baseline and >200ms\tfor 30s")
    assert condition.text == "> 1.5x baseline and >200ms for 30s"
    assert condition.terms == (Term(">", Limit("1.5x baseline", 1.5, "factor")), Term(">", Limit("200ms", 0.2)))
    assert (condition.duration, condition.any_of) == (30, False)
    assert parse_condition(">=2 x baseline and < baseline  +  20 ms and <5 s") == Condition(
        ">=2 x baseline and < baseline + 20 ms and <5 s",
        (
            Term(">=", Limit("2x baseline", 2.0, "factor")),
            Term("<", Limit("baseline + 20ms", 0.02, "offset")),
            Term("<", Limit("5s", 5.0)),
        ),
        duration=0.0,
        any_of=False,
    )


GRAMMAR = 'OP VALUE ["and" OP VALUE ...] ["for" DURATION], such as "> 5s for 3s"'
NO_TERM = f"is no term; allowed is {GRAMMAR}, where OP is >, >=, < or <="
NO_QUANTITY = (
    "is no quantity; write a duration (250ms, 5s, 1m30s), a size (64kB, 10MB, 1GB), a percentage (1%) or a bare count "
    '(3), not negative; relative limits are "1.5x baseline" and "baseline + 20ms"'
)
HOW_LONG = "write it like 250ms, 5s, 1m30s, 2h or 1d"
STANDS_LAST = f'"for DURATION" stands last and once; allowed is {GRAMMAR}'
NEVER_BOTH = "these terms can never be true together"
WITH_ITS_UNIT = 'write "> 0" or "<= 0" with its unit'
BEYOND = "what is relative to a baseline must be greater than 0"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", f'"" {NO_TERM}'),
        ("5s", f'"5s" {NO_TERM}'),
        ("= 5s", f'"= 5s" {NO_TERM}'),
        (">> 5s", f'">> 5s" {NO_TERM}'),
        ("> ", f'">" {NO_TERM}'),
        ("for 5s", f'"for 5s" {NO_TERM}'),
        ("> 5s and ", f'"5s and" {NO_QUANTITY}'),
        ("> 5s and  and > 3s", f'"and > 3s" {NO_TERM}'),
        ("> 5s or > 3s", 'there is no "or"; write two rules, either of which may stop the migration'),
        ("> 5s for 3", f'"for" takes a duration: "3" is no duration; a bare number has no unit; {HOW_LONG}'),
        ("> 5s for soon", f'"for" takes a duration: "soon" is no duration; {HOW_LONG}'),
        ("> 5s for 3s and > 2s", STANDS_LAST),
        ("> 5s for 3s for 4s", STANDS_LAST),
        ("> nan", f'"nan" {NO_QUANTITY}'),
        ("> inf", f'"inf" {NO_QUANTITY}'),
        ("> -1s", f'"-1s" {NO_QUANTITY}'),
        ("> 5s and > 3MB", '"3MB" must be a duration such as 250ms, 5s or 1m30s, since the rule measures seconds'),
        ("> 5s and < 2s", NEVER_BOTH),
        ("> 5s and < 5s", NEVER_BOTH),
        (">= 5s and < 5s", NEVER_BOTH),
        (">= 5s and <= 2s", NEVER_BOTH),
        ("< 2s and > 5s", NEVER_BOTH),
        ("> 2x baseline and < 1.5x baseline", NEVER_BOTH),
        (">= 0s", f'">= 0s" is always true; {WITH_ITS_UNIT}'),
        ("< 0%", f'"< 0%" is never true; {WITH_ITS_UNIT}'),
        ("> 0x baseline", f'"0x baseline": {BEYOND}'),
        ("> baseline + 0s", f'"baseline + 0s": {BEYOND}'),
        ("> baseline", f'"baseline" {NO_QUANTITY}'),
        ("> baseline + soon", f'"soon" {NO_QUANTITY}'),
        ("> 1.5 times baseline", f'"1.5 times baseline" {NO_QUANTITY}'),
    ],
)
def test_what_is_no_condition_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(ConditionError) as refused:
        parse_condition(text)
    assert str(refused.value) == words


@pytest.mark.parametrize(
    "text",
    [
        ">= 5s and <= 5s",
        "<= 5s and >= 5s",
        "> 0s and <= 1s",
        ">= 1 and < 3",
        "> 2x baseline and < 100ms",
        "> 2x baseline and < baseline + 1ms",
        "< 1.5x baseline and > 0.5x baseline",
    ],
)
def test_terms_that_some_value_meets_together_are_a_condition(text: str) -> None:
    assert len(parse_condition(text).terms) == 2


@pytest.mark.parametrize(
    ("text", "dimension", "words"),
    [
        ("> 5", S, '"5" must be a duration such as 250ms, 5s or 1m30s, since the rule measures seconds'),
        ("> 0", S, '"0" must be a duration such as 250ms, 5s or 1m30s, since the rule measures seconds'),
        (
            "> 5s",
            B,
            '"5s" must be a size such as 64MB (kB, MB, GB, TB; 1 kB is 1024 bytes), since the rule measures bytes',
        ),
        ("> 5s", N, '"5s" must be a bare number such as 3, since the rule measures count'),
        ("> 5", R, '"5" must be a percentage such as 1%, since the rule measures ratio'),
        ("> 2x baseline and > 5", R, '"5" must be a percentage such as 1%, since the rule measures ratio'),
        ("> 2% and > 2x baseline and > 5", R, '"5" must be a percentage such as 1%, since the rule measures ratio'),
    ],
)
def test_a_limit_must_be_of_the_dimension_of_its_metric(text: str, dimension: Dimension, words: str) -> None:
    with pytest.raises(ConditionError) as refused:
        parse_condition(text, dimension)
    assert str(refused.value) == words


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
        ("< 70%", ">= 79% for 10s"),
        ("< 100%", ">= 100% for 10s"),
        ("< 200%", ">= 285.714% for 10s"),
        ("> 1.5x baseline and > 200ms for 30s", "<= 1.35x baseline or <= 140ms for 10s"),
        ("> 1x baseline", "<= 1x baseline for 10s"),
        ("> 0.5x baseline", "<= 0.35x baseline for 10s"),
        ("< 0.5x baseline", ">= 0.65x baseline for 10s"),
        ("< 1x baseline", ">= 1x baseline for 10s"),
        ("< 1.4x baseline", ">= 2x baseline for 10s"),
        ("< baseline + 70%", ">= baseline + 100% for 10s"),
        ("< baseline + 7", ">= baseline + 10 for 10s"),
        ("> baseline + 1", "<= baseline + 0.7 for 10s"),
        ("> baseline + 20ms", "<= baseline + 14ms for 10s"),
    ],
)
def test_the_default_resume_is_the_complement_at_70_percent_for_10_s(text: str, resume: str) -> None:
    given_, back = parse_condition(text), complement(parse_condition(text))
    assert back.text == resume
    assert back.duration == 10
    assert back.any_of == (len(given_.terms) > 1)
    assert not both_can_hold(given_, back)
    # It is judged by what its text says: each alternative is the very term that would be read from it.
    for term, said in zip(back.terms, resume.removesuffix(" for 10s").split(" or "), strict=True):
        (read,) = parse_condition(said).terms
        assert (term.op, term.limit.text, term.limit.kind) == (read.op, read.limit.text, read.limit.kind)
        assert term.limit.value == pytest.approx(read.limit.value, rel=1e-5)


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
        ("> 5s", "< 8s and < 2s", False),
    ],
)
def test_a_resume_that_can_hold_while_the_limit_is_breached_is_found(breach: str, resume: str, both: bool) -> None:
    assert both_can_hold(parse_condition(breach), parse_condition(resume)) is both


def test_of_a_resume_with_alternatives_one_within_the_limit_is_enough_to_be_found() -> None:
    resume = complement(parse_condition("> 1.5x baseline and > 200ms"))
    assert resume.text == "<= 1.35x baseline or <= 140ms for 10s"
    assert both_can_hold(parse_condition("> 1x baseline and > 200ms"), resume)
    assert both_can_hold(parse_condition("> 2x baseline and > 100ms"), resume)
    assert not both_can_hold(parse_condition("> 2x baseline and > 200ms"), resume)


@pytest.mark.parametrize(
    ("text", "value", "answer", "words"),
    [
        ("> 5s", 7.4, Answer.YES, "7.4 s > 5 s"),
        ("> 5s", 5.0, Answer.NO, "5 s, not > 5 s"),
        (">= 5s", 5.0, Answer.YES, "5 s >= 5 s"),
        ("< 5s", 1.2, Answer.YES, "1.2 s < 5 s"),
        ("<= 3", 3.0, Answer.YES, "3 <= 3"),
        ("> 5s", 5.004, Answer.YES, "5.004 s > 5 s"),
        ("> 5s", 5.00000043219, Answer.YES, "5.00000043 s > 5 s"),
        ("> 1.2345s", 1.2346789, Answer.YES, "1.23468 s > 1.2345 s"),
        ("> 1kB", 1025, Answer.YES, "1.00098 kB > 1 kB"),
        ("> 1.234564s", 1.2345642, Answer.YES, "1.2345642 s > 1.234564 s"),
        (">= 1.234568s", 1.234568, Answer.YES, "1.23 s >= 1.23 s"),
        ("> 1s and < 5s", 4.9999, Answer.YES, "4.9999 s > 1 s and < 5 s"),
        ("> 1%", 0.052, Answer.YES, "5.2 % > 1 %"),
        ("> 1GB", 1.2 * 1024**3, Answer.YES, "1.2 GB > 1 GB"),
        ("> 1s and < 9s", 5.0, Answer.YES, "5 s > 1 s and < 9 s"),
        ("> 1s and < 9s", 0.5, Answer.NO, "500 ms, not > 1 s"),
        ("> 1s and > 2s", 0.5, Answer.NO, "500 ms, not > 1 s, not > 2 s"),
        ("> 5s", None, Answer.UNKNOWN, "no value"),
        ("> 5s", math.nan, Answer.UNKNOWN, "no value"),
        ("> 5s", math.inf, Answer.YES, "infinitely much > 5 s"),
        ("< 5s", math.inf, Answer.NO, "infinitely much, not < 5 s"),
        ("< 5s", -math.inf, Answer.UNKNOWN, "no value"),
        ("> 1.5x baseline", 9.0, Answer.UNKNOWN, "9, no baseline is taken yet"),
        ("> 1.5x baseline and > baseline + 20ms", 9.0, Answer.UNKNOWN, "9 s, no baseline is taken yet"),
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
    assert truth(condition, 0.25, baseline=0.2).words == "250 ms, not > 1.5x baseline (300 ms)"
    assert truth(condition, 0.25, baseline=math.nan).answer is Answer.UNKNOWN
    assert truth(parse_condition("< 2x baseline"), 0.25, baseline=math.inf).answer is Answer.UNKNOWN


def test_a_limit_that_only_a_baseline_gives_is_said_in_the_unit_of_what_is_measured() -> None:
    condition = parse_condition("> 1.5x baseline")
    assert truth(condition, 9.0, dimension=S).words == "9 s, no baseline is taken yet"
    assert truth(condition, 9.0, baseline=4.0, dimension=S).words == "9 s > 1.5x baseline (6 s)"
    assert truth(condition, 9.0, baseline=4.0).words == "9 > 1.5x baseline (6)"
    told_apart = truth(parse_condition("> baseline + 1B"), 1026, baseline=1024)
    assert told_apart.words == "1.00195 kB > baseline + 1B (1.00098 kB)"


@pytest.mark.parametrize(
    ("text", "answer", "words"),
    [
        ("> 5s", Answer.YES, "at least 90 s > 5 s"),
        (">= 90s", Answer.YES, "at least 90 s >= 90 s"),
        ("> 95s", Answer.UNKNOWN, "at least 90 s, whether > 95 s is not known"),
        ("< 5s", Answer.NO, "at least 90 s, not < 5 s"),
        ("< 95s", Answer.UNKNOWN, "at least 90 s, whether < 95 s is not known"),
        ("> 95s and > 99s", Answer.UNKNOWN, "at least 90 s, whether > 95 s is not known, whether > 99 s is not known"),
        ("> 89.999s", Answer.YES, "at least 90 s > 89.999 s"),
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
    assert truth(resume, 0.2, baseline=0.1).words == "200 ms, not <= 1.35x baseline (135 ms) and not <= 140 ms"
    assert truth(resume, 0.1, baseline=0.1).words == "100 ms <= 1.35x baseline (135 ms), <= 140 ms"


@given(st.text(max_size=40) | st.text(alphabet="><= 0123456789.smhkMGB%xandforbaseline+", max_size=40))
def test_any_text_is_either_a_condition_or_refused(text: str) -> None:
    try:
        condition = parse_condition(text)
    except ConditionError:
        return
    assert all(math.isfinite(term.limit.value) and term.limit.value >= 0 for term in condition.terms)
    assert parse_condition(condition.text) == condition
    assert not both_can_hold(condition, complement(condition))


@given(st.floats(min_value=0, max_value=1e6), st.floats(min_value=1e-3, max_value=1e6))
def test_a_breach_and_its_default_resume_never_hold_at_once(value: float, limit: float) -> None:
    breach = parse_condition(f"> {write(limit, S)}")
    both = {truth(breach, value).answer, truth(complement(breach), value).answer}
    assert both != {Answer.YES}
