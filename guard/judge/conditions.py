"""The grammar of limits, and whether a value is past one: `> 1.5x baseline and > 200ms for 30s`.

    condition = term { "and" term } [ "for" DURATION ]
    term      = ( ">" | ">=" | "<" | "<=" ) value
    value     = QUANTITY | NUMBER "x baseline" | "baseline +" QUANTITY

Truth has three values: what cannot be known is neither yes nor no, and is never dropped from an `and`. This module does
not count time: that a condition holds for its `duration` is the business of whoever calls it again and again.
"""

from __future__ import annotations

import enum
import functools
import itertools
import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from guard.judge.quantities import QuantityError, parse_duration, parse_quantity, say, say_seconds, write
from guard.model import Condition, Dimension, Limit, Term

__all__ = [
    "Answer", "ConditionError", "Truth", "both_can_hold", "complement", "dimension_of", "parse_condition",
    "parse_duration", "say", "say_seconds", "truth",
]  # fmt: skip

ALLOWED: Final = 'OP VALUE ["and" OP VALUE ...] ["for" DURATION], such as "> 5s for 3s"'
RESUME_AT: Final = 0.7
"""Share of the limit at which a migration may go on where the rule does not say: far enough below to not flap."""
RESUME_AFTER: Final = 10.0
"""Seconds that it must stay there."""

_TERM = re.compile(r"(>=|<=|>|<)\s*([^<>=\s].*)")
_FACTOR = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s?x baseline")
_OFFSET = re.compile(r"baseline\s?\+\s?(.+)")
_OPPOSITE: Final = {">": "<=", ">=": "<", "<": ">=", "<=": ">"}
_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip


class ConditionError(QuantityError):
    """The text is not a condition; the message says what is allowed."""


class Answer(enum.Enum):
    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Truth:
    answer: Answer
    words: str
    """`7.4 s > 5 s`, `1.2 s, not > 5 s`, `no baseline is taken yet`."""


# -- reading -----------------------------------------------------------------------------------------------------------


def parse_condition(text: str, dimension: Dimension | None = None) -> Condition:
    """Read a condition. With `dimension` every quantity must be of it; without, all must be of one and the same.

    Raises ConditionError (a ValueError) with what is allowed.
    """
    words = " ".join(text.split())
    body, last, held = words.partition(" for ")
    if last and re.search(r"\b(and|for)\b", held):
        raise ConditionError(f'"for DURATION" stands last and once; allowed is {ALLOWED}')
    if re.search(r"\bor\b", body):
        raise ConditionError('there is no "or"; write two rules, either of which may stop the migration')
    terms = tuple(_term(part) for part in body.split(" and "))
    _check_dimension(terms, dimension)
    _check_possible(terms)
    try:
        duration = parse_duration(held) if last else 0.0
    except QuantityError as wrong:
        raise ConditionError(f'"for" takes a duration: {wrong}') from None
    return Condition(text=words, terms=terms, duration=duration)


def dimension_of(condition: Condition) -> Dimension | None:
    """What its quantities measure; None where it only speaks of `Nx baseline`, which fits any dimension."""
    found = (_dimension(term.limit) for term in condition.terms)
    return next((dimension for dimension in found if dimension is not None), None)


def _term(text: str) -> Term:
    match = _TERM.fullmatch(text.strip())
    if match is None:
        raise ConditionError(f'"{text.strip()}" is no term; allowed is {ALLOWED}, where OP is >, >=, < or <=')
    return Term(op=match[1], limit=_limit(match[2]))


def _limit(text: str) -> Limit:
    if factor := _FACTOR.fullmatch(text):
        return Limit(text=f"{factor[1]}x baseline", value=_positive(float(factor[1]), text), kind="factor")
    try:
        if offset := _OFFSET.fullmatch(text):
            value, _ = parse_quantity(offset[1])
            return Limit(text=f"baseline + {offset[1].replace(' ', '')}", value=_positive(value, text), kind="offset")
        value, _ = parse_quantity(text)
    except ConditionError:
        raise
    except QuantityError as wrong:
        raise ConditionError(f'{wrong}; relative limits are "1.5x baseline" and "baseline + 20ms"') from None
    return Limit(text=text.replace(" ", ""), value=value)


def _positive(value: float, text: str) -> float:
    if value <= 0:
        raise ConditionError(f'"{text}": what is relative to a baseline must be greater than 0')
    return value


@functools.lru_cache(maxsize=1024)
def _dimension(limit: Limit) -> Dimension | None:
    # Kept: each judgement asks for the unit of each limit, whose text never changes.
    if limit.kind == "factor":
        return None
    return parse_quantity(limit.text.removeprefix("baseline + "))[1]


_EXAMPLE: Final = {
    Dimension.SECONDS: "a duration such as 250ms, 5s or 1m30s",
    Dimension.BYTES: "a size such as 64MB (kB, MB, GB, TB; 1 kB is 1024 bytes)",
    Dimension.COUNT: "a bare number such as 3",
    Dimension.RATIO: "a percentage such as 1%",
}


def _check_dimension(terms: tuple[Term, ...], wanted: Dimension | None) -> None:
    for term in terms:
        found = _dimension(term.limit)
        if found is None:
            continue
        if wanted is not None and found is not wanted:
            raise ConditionError(f'"{term.limit.text}" must be {_EXAMPLE[wanted]}, since the rule measures {wanted}')
        wanted = found


def _check_possible(terms: tuple[Term, ...]) -> None:
    for term in terms:
        if term.limit.value == 0 and term.op in {">=", "<"}:
            always = "always" if term.op == ">=" else "never"
            raise ConditionError(f'"{term.op} {term.limit.text}" is {always} true; write "> 0" or "<= 0" with its unit')
    if not all(_meet(a, b) for a, b in itertools.combinations(terms, 2) if a.limit.kind == b.limit.kind):
        raise ConditionError("these terms can never be true together")


# -- relations between conditions --------------------------------------------------------------------------------------


def complement(condition: Condition) -> Condition:
    """The resume condition of a rule that gives none: back at 70 % of the limit for 10 s.

    `and` becomes `or`, `>` becomes `<=`. A lower limit is divided by 0.7; a percentage that this would take to 100 % or
    past it closes 30 % of its gap to 100 % instead, or it could hardly be reached. Nor is a lower limit of a count
    moved, or `> 1`: of two standbys there are never 2.86, and one primary is never less. Of `1.5x baseline` it is the
    excess over the baseline that shrinks (to 1.35x): 70 % of the whole would lie at 1.05x, within the noise. What is
    `1x baseline` stays so.
    """
    terms = tuple(Term(op=_OPPOSITE[term.op], limit=_eased(term)) for term in condition.terms)
    body = " or ".join(f"{term.op} {term.limit.text}" for term in terms)
    return Condition(
        text=f"{body} for {write(RESUME_AFTER, Dimension.SECONDS)}",
        terms=terms,
        duration=RESUME_AFTER,
        any_of=len(terms) > 1,
    )


def _eased(term: Term) -> Limit:
    upper, limit = term.op.startswith(">"), term.limit
    dimension = _dimension(limit)
    if dimension is None:
        away = limit.value >= 1 if upper else limit.value <= 1
        value = 1 + (limit.value - 1) * RESUME_AT if away else _scaled(limit.value, upper=upper)
        return Limit(text=f"{write(value, Dimension.COUNT)}x baseline", value=value, kind=limit.kind)
    if dimension is Dimension.COUNT and limit.kind == "absolute" and (not upper or (term.op, limit.value) == (">", 1)):
        return limit
    value = _scaled(limit.value, upper=upper)
    if dimension is Dimension.RATIO and limit.kind == "absolute" and limit.value <= 1 <= value:
        value = 1 - (1 - limit.value) * RESUME_AT
    prefix = "baseline + " if limit.kind == "offset" else ""
    return Limit(text=prefix + write(value, dimension), value=value, kind=limit.kind)


def _scaled(value: float, *, upper: bool) -> float:
    # Twelve digits: 0.7 has no exact binary form, and 2.0999999999999996 is not what the text says.
    return float(f"{value * RESUME_AT if upper else value / RESUME_AT:.12g}")


def both_can_hold(breach: Condition, resume: Condition) -> bool:
    """Whether some value satisfies both, as far as the text tells; then a rule would stop and resume at once.

    Absolute limits are compared with each other, as are factors and offsets; across these only measuring can tell, and
    the answer is no. Of a condition with `or`, one alternative is enough.
    """
    alternatives = [(term,) for term in resume.terms] if resume.any_of else [resume.terms]
    return any(_can_meet(breach.terms, chosen) for chosen in alternatives)


def _can_meet(ours: tuple[Term, ...], theirs: tuple[Term, ...]) -> bool:
    pairs = [(a, b) for a in ours for b in theirs if a.limit.kind == b.limit.kind]
    return bool(pairs) and all(_meet(a, b) for a, b in pairs)


def _meet(a: Term, b: Term) -> bool:
    if a.op[0] == b.op[0]:
        return True
    lower, upper = (a, b) if a.op[0] == ">" else (b, a)
    least, most = lower.limit.value, upper.limit.value
    return least <= most if (lower.op, upper.op) == (">=", "<=") else least < most


# -- judging -----------------------------------------------------------------------------------------------------------


def truth(
    condition: Condition,
    value: float | None,
    *,
    baseline: float | None = None,
    at_least: float | None = None,
    dimension: Dimension | None = None,
) -> Truth:
    """Whether `value` satisfies the terms (not: for how long), in three-valued logic.

    `value` None (or not a number) is unknown; `at_least` then bounds it from below, which can prove `>` and refute `<`.
    `dimension` is only for the words; without it the units of the condition tell.
    """
    shown = dimension or dimension_of(condition) or Dimension.COUNT
    known, at_least = _measured(value), _measured(at_least)
    pairs = [(term, _against(term.limit, baseline)) for term in condition.terms]
    judged = [_judge(term, limit, (known, at_least), shown) for term, limit in pairs]
    decisive = Answer.YES if condition.any_of else Answer.NO
    answers = {each.answer for each in judged}
    if decisive in answers:
        answer, joint = decisive, ", "
    elif Answer.UNKNOWN in answers:
        answer, joint = Answer.UNKNOWN, ", "
    else:
        (answer,) = answers
        joint = " and "
    said = dict.fromkeys(each.words for each in judged if each.answer is answer)
    limits = [limit for _, limit in pairs if limit is not None]
    return Truth(answer, _subject(answer, (known, at_least), limits, shown) + joint.join(said))


def _measured(value: float | None) -> float | None:
    """A value that can be compared. Infinity is above each limit (a division by nothing, all beyond the last bucket);
    less than everything measures nothing, and must not be taken for well."""
    return None if value is None or math.isnan(value) or value == -math.inf else value


def _against(limit: Limit, baseline: float | None) -> float | None:
    """The figure of a limit; None where only a baseline could give it."""
    if limit.kind == "absolute":
        return limit.value
    if baseline is None or not math.isfinite(baseline):
        return None
    return baseline * limit.value if limit.kind == "factor" else baseline + limit.value


def _judge(term: Term, limit: float | None, seen: tuple[float | None, float | None], dimension: Dimension) -> Truth:
    value, at_least = seen
    if limit is None:
        return Truth(Answer.UNKNOWN, "no baseline is taken yet")
    known = value if value is not None else at_least
    if known is None:
        return Truth(Answer.UNKNOWN, "no value")
    holds = _COMPARE[term.op](known, limit)
    words = f"{term.op} {_said_limit(term.limit, limit, known, dimension)}"
    if value is None and holds is not term.op.startswith(">"):
        # The true value may be greater: that settles neither "not above" nor "below".
        return Truth(Answer.UNKNOWN, f"whether {words} is not known")
    return Truth(Answer.YES, words) if holds else Truth(Answer.NO, f"not {words}")


def _said_limit(written: Limit, limit: float, value: float, dimension: Dimension) -> str:
    said = say(limit, dimension, _digits(value, [limit], dimension))
    return said if written.kind == "absolute" else f"{written.text} ({said})"


def _subject(answer: Answer, seen: tuple[float | None, float | None], limits: list[float], dimension: Dimension) -> str:
    value, at_least = seen
    known = value if value is not None else at_least
    if known is None:
        return ""
    said = say(known, dimension, _digits(known, limits, dimension))
    prefix = "" if value is not None else "at least "
    return f"{prefix}{said}" + (" " if answer is Answer.YES else ", ")


def say_beside(value: float, condition: Condition, dimension: Dimension) -> str:
    """The value as it is said before the text of a condition: never like a limit that it is not."""
    limits = [term.limit.value for term in condition.terms if term.limit.kind == "absolute"]
    return say(value, dimension, _digits(value, limits, dimension))


def _digits(value: float, limits: list[float], dimension: Dimension) -> int:
    """So many that no limit looks like a value that it is not: 5.004 s > 5 s must not be told as "5 s > 5 s"."""
    others = [limit for limit in limits if limit != value]
    told_apart = (n for n in (3, 6) if all(say(limit, dimension, n) != say(value, dimension, n) for limit in others))
    return next(told_apart, 9)
