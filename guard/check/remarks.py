"""What a check says: a grade, a place, a sentence, and what to do about it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from guard.model import Rule


class Grade(enum.StrEnum):
    FINE = "fine"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Remark:
    """One finding of a check; no secret stands in it."""

    grade: Grade
    place: str
    """`database main`, `rule "checkout errors"`, `slack`."""
    what: str
    todo: str = ""
    """What a person can do about it; empty where all is well."""


def fine(place: str, what: str) -> Remark:
    return Remark(Grade.FINE, place, what)


def warning(place: str, what: str, todo: str) -> Remark:
    return Remark(Grade.WARNING, place, what, todo)


def problem(place: str, what: str, todo: str) -> Remark:
    return Remark(Grade.PROBLEM, place, what, todo)


def whereof(rule: Rule) -> str:
    """What is judged of the number that a rule's source answers, where it is not that number."""
    return ", a counter: its growth per second is judged" if rule.rate else ""
