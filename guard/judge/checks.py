"""What an answer to a check of the data means: it holds, it does not, or nobody knows; pure, in words for people."""

from __future__ import annotations

from guard.model import Answer, Check, Found
from guard.model.checks import SHOWN, titled

IN_A_REASON = 3
"""Offending rows that a reason names; the record has all that were kept."""


def judge_answer(check: Check, answer: Answer, earlier: Found | None, *, before: bool) -> tuple[Found, str]:
    """What came of one check, and in words; *earlier*: what came of it before the run, of an answer after it."""
    name = titled(check.name)
    if answer.why:
        return Found(check.name, None, rollback=check.rollback), f"{name} could not be answered: {answer.why}"
    if not check.same:
        holds = not answer.offending
        return Found(check.name, holds, rollback=check.rollback), f"{name} {offending(answer)}"
    if before:
        return Found(check.name, holds=True, value=answer.value, rollback=check.rollback), f"{name}: {answer.value}"
    if earlier is None or earlier.holds is None:
        words = f"{name} cannot be compared: it was not answered before the run; now {answer.value}"
        return Found(check.name, None, rollback=check.rollback), words
    same = earlier.value == answer.value
    words = f"still {answer.value}" if same else f"was {earlier.value} before the run, and is {answer.value}"
    return Found(check.name, same, rollback=check.rollback), f"{name}: {words}"


def offending(answer: Answer, most: int = IN_A_REASON) -> str:
    """What a query that must return no row has returned."""
    if not answer.offending:
        return "returned no row"
    rows = answer.offending
    count = f"more than {SHOWN} rows" if answer.more else "1 row" if len(rows) == 1 else f"{len(rows)} rows"
    shown = "; ".join(rows[:most]) + ("; ..." if len(rows) > most else "")
    return f"returned {count}: {shown}"
