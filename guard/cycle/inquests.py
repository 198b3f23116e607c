"""What is asked about the data of one run, and what was answered; a chore, since it takes its time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from guard.model import Answer, Check
from guard.ports import Checker

ANSWERED_WITHIN: Final = 15.0
"""Seconds for all checks of a run together: a migration waits for them, and so do the people behind it."""

When = Literal["before", "after"]
"""A run begins, or after it has ended well."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What the database has said of a run."""

    key: tuple[str, int | None]
    when: When
    answers: tuple[Answer, ...]


async def inquire(
    checker: Checker | None, key: tuple[str, int | None], when: When, checks: tuple[Check, ...]
) -> Verified:
    """Ask all checks of a run."""
    if checker is None:
        return unanswered(key, when, checks, "there is nobody to ask")
    return Verified(key, when, await checker.ask(checks, within=ANSWERED_WITHIN))


def unanswered(key: tuple[str, int | None], when: When, checks: tuple[Check, ...], why: str) -> Verified:
    """No answer to any of them."""
    return Verified(key, when, tuple(Answer(check.name, why=why) for check in checks))
