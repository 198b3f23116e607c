"""What is asked about the data, before and after a run: checks of the administrator's own, and their answers."""

from __future__ import annotations

from dataclasses import dataclass

SHOWN = 20
"""Offending rows that are kept of one check: enough to find the fault by, and no dump of a table."""


def titled(check: str) -> str:
    """A check among the rules, as reasons name it."""
    return f'check "{check}"'


@dataclass(frozen=True, slots=True)
class Check:
    """`no_rows`: a query that must return none. `same`: one row that must be the same before and after."""

    name: str
    query: str
    same: bool = False
    rollback: bool = False
    """A run after which it does not hold is to be rolled back; otherwise people are told."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the database says to one check."""

    check: str
    value: str = ""
    """Of `same`: the row, in a form that is equal where the values are."""
    offending: tuple[str, ...] = ()
    """Of `no_rows`: the rows that must not be, the first SHOWN of them."""
    more: bool = False
    """There are more of them than that."""
    why: str = ""
    """Why it could not be answered; empty where it was."""


@dataclass(frozen=True, slots=True)
class Found:
    """What came of one check, as it is remembered of a run."""

    check: str
    holds: bool | None
    """None: nobody knows."""
    value: str = ""
    """Of `same`, before the run."""
    rollback: bool = False
