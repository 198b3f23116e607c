"""Pure: whether a try of a command is the end of it, is to be made again, or must not be, and how long to wait before.

The exit code alone says little: some tools end with 0 after an error, others with 1 and without a word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from guard.exits import Exit

_HINDERED: Final = (
    # The code as drivers print it, or the server's words in English; what it means for people.
    (re.compile(r"\b55P03\b|canceling statement due to lock timeout"), "a lock timeout (55P03)"),
    # Of the DDL gate and of require_proceed(), where the tool does not print the code.
    (re.compile(r"\bmust wait \((?:pause|lost)\): "), "the guard's pause (55P03)"),
    (
        # The number alone may be a count of rows.
        re.compile(
            r"\b(?:code\W{1,4}|SQLSTATE\W{0,3}|ERROR:\s+)57014\b|\(57014\)|canceling statement due to user request"
        ),
        "a cancel (57014)",
    ),
    (re.compile(r"\b57P01\b|terminating connection due to administrator command"), "the end of its session (57P01)"),
    # pg for Node keeps to itself what the server said last.
    (re.compile(r"Connection terminated unexpectedly"), "the end of its connection"),
    (re.compile(r"\b40P01\b|deadlock detected"), "a deadlock (40P01)"),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How often, and for how long, a command is tried. Times in seconds."""

    tries: int = 10
    stall: float = 3600.0
    """Of all the waiting between tries and before the first."""
    first: float = 5.0
    longest: float = 300.0

    def wait(self, tries: int, jitter: float) -> float:
        """How long after so many tries; *jitter* from 0 to 1 spreads it by a quarter to both sides."""
        plain = self.first * 2.0 ** min(tries - 1, 30)
        return min(self.longest, plain * (0.75 + jitter / 2))


@dataclass(frozen=True, slots=True)
class Try:
    """How one run of the command ended."""

    code: int
    """Its exit code; negative for a signal."""
    output: str = ""
    """The end of what it said."""
    interrupted: str = ""
    """Why its work was cancelled or its session ended, by us or by the guard; empty where it was not."""
    lock_timeout: str = ""
    """Its last statement waited for a lock and was gone then: for whom, as far as it was seen."""
    failure: str = ""
    """What is known of this tool says that it failed, whatever the exit code."""
    history_moved: bool | None = None
    """Whether the tool's own record of what is applied has changed; None where there is none to look at."""
    committed: bool = False
    """One of its transactions that were seen has committed, or may have."""
    verified: bool = False
    """A query has said that all is as it is to be."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from a try."""

    again: bool
    code: int
    """The exit code, where it is not to be made again."""
    why: str
    """Empty where it is done."""


def hindered(ended: Try) -> str:
    """What passing trouble its last words or the server tell of, in words; empty where none."""
    if ended.interrupted:
        return ended.interrupted
    waited = f"; it waited for {ended.lock_timeout}" if ended.lock_timeout else ""
    for pattern, words in _HINDERED:
        if pattern.search(ended.output):
            return f"{words}, by its output{waited}"
    return f"most likely a lock timeout (55P03){waited}" if waited and ended.code != 0 else ""


def judge(ended: Try, *, repeatable: bool, one_transaction: bool) -> Verdict:
    """Whether it is done, to be made again, or over.

    *repeatable*: declared, or known of the tool, that running it again does what is missing and nothing twice.
    """
    passing = hindered(ended)
    good = ended.code == 0 and not ended.failure
    if good and not ended.interrupted and (ended.verified or not passing):
        return Verdict(again=False, code=Exit.DONE, why="")
    code = exit_code(ended.code) if ended.code else int(Exit.UNVERIFIED)
    if not passing:
        return Verdict(again=False, code=code, why=ended.failure or _failed(ended.code))
    if repeatable or (one_transaction and _all_taken_back(ended, good=good)):
        return Verdict(again=True, code=int(Exit.LATER), why=passing)
    return Verdict(again=False, code=code, why=f"{passing}; {_applied(ended)}")


def _all_taken_back(ended: Try, *, good: bool) -> bool:
    """Of a tool that does everything in one transaction: its own record says so, or else its transactions.

    One that ended well has committed, whatever its output tells of: a short transaction is over before it is seen.
    """
    return not ended.committed and not good if ended.history_moved is None else not ended.history_moved


def _applied(ended: Try) -> str:
    if ended.history_moved:
        return "its history has changed, so a part of it is applied; it is not tried again"
    if ended.committed:
        return "a transaction of it has committed, so a part of it is applied; it is not tried again"
    return (
        "what it had done before may be applied; it is not tried again, since nothing says that it may (--repeatable)"
    )


def _failed(code: int) -> str:
    return f"it ended by signal {-code}" if code < 0 else f"it ended with exit code {code}"


def exit_code(code: int) -> int:
    """As a shell says it: 128 and the number for a signal."""
    return 128 - code if code < 0 else code
