"""What `/check/NAME` says: whether a migration may go on, from memory. Pure; it orders nothing and asks nobody.

The codes are freno's, whose callers know to proceed on 200 alone. It follows the order in which the SQL functions
weigh who has a say; what is not known for certain is never a 200.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guard.model import EVERYONE
from guard.show.sight import Seen, Standing


class Code(enum.IntEnum):
    """HTTP status codes, and what they mean here."""

    PROCEED = 200
    NOBODY = 404
    """No guarded database has an open run of that name."""
    ABORT = 417
    PAUSE = 429
    CANNOT_KNOW = 500


_GRAVEST = (Code.ABORT, Code.CANNOT_KNOW, Code.PAUSE, Code.PROCEED)
"""Of several databases or runs of one name, the first of these that is among their answers."""
_ORDERS = {"proceed": Code.PROCEED, "pause": Code.PAUSE, "abort": Code.ABORT}
_OVER = frozenset({"soaking", "done"})
_WORDS = {
    Code.PROCEED: "proceed",
    Code.NOBODY: "unknown",
    Code.ABORT: "abort",
    Code.PAUSE: "pause",
    Code.CANNOT_KNOW: "cannot know",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What one migration is told, and why."""

    code: Code
    because: str
    database: str = ""
    verdicts: Sequence[Mapping[str, Any]] = ()
    """As the report of `status --json` has them."""

    def line(self, migration: str) -> str:
        """For people: one line, whatever is in the names."""
        where = f" on {self.database}" if self.database else ""
        return " ".join(f"{_WORDS[self.code]}: {migration}{where}: {self.because}".split())


def check(seen: Sequence[Seen], migration: str, wall: float) -> Answer:
    """The gravest of what every database says of a migration; *wall* is the Unix time now."""
    answers = [answer for each in seen if (answer := answer_of(each, migration, wall)) is not None]
    if not answers:
        return Answer(Code.NOBODY, "no open run of that name is known to the guard")
    return min(answers, key=lambda answer: _GRAVEST.index(answer.code))


def answer_of(seen: Seen, migration: str, wall: float) -> Answer | None:
    """What one database says; None where it knows of no open run of that name."""
    if blind := _cannot_know(seen):
        return Answer(Code.CANNOT_KNOW, blind, seen.database)
    runs = [run for run in _runs(seen) if run.get("migration") == migration and run.get("phase") not in _OVER]
    if not runs:
        return None
    answers = [_of_run(seen, run, wall) for run in runs]
    return min(answers, key=lambda answer: _GRAVEST.index(answer.code))


def _runs(seen: Seen) -> Sequence[Mapping[str, Any]]:
    runs: Sequence[Mapping[str, Any]] = seen.report.get("runs", ())
    return runs


def _cannot_know(seen: Seen) -> str:
    """Why this guard's own word is not to be relied on; empty where it is."""
    if seen.ended_because:
        return f"nobody guards it from here: {seen.ended_because}"
    if seen.mode in {"released", "dead"}:
        return f"the guard is {seen.mode}"
    if seen.trouble:
        return f"the guard cannot signal: {seen.trouble}"
    if not seen.leading:
        return "the guard does not lead"
    if seen.judged_age > seen.lease:
        return f"the guard has not judged for {seen.judged_age:.1f} s"
    if seen.mode == "live" and seen.beat_age is not None and seen.beat_age > seen.lease:
        return f"the last beat was written {seen.beat_age:.1f} s ago, and the lease has expired"
    if blind := seen.report.get("cannot_see"):
        return f"the guard cannot see who migrates: {blind}"
    return ""


def _of_run(seen: Seen, run: Mapping[str, Any], wall: float) -> Answer:
    own, because = _ORDERS.get(str(run.get("order")), Code.CANNOT_KNOW), str(run.get("because", ""))
    said = {order.kind: order for order in _standing(seen, str(run.get("migration")), wall)}
    if "abort" in said:
        own, because = Code.ABORT, _words(said["abort"])
    elif own not in {Code.ABORT, Code.CANNOT_KNOW} and "override" in said:
        own, because = Code.PROCEED, _words(said["override"])
    elif own is Code.PROCEED and "pause" in said:
        own, because = Code.PAUSE, _words(said["pause"])
    return Answer(own, because, seen.database, run.get("verdicts", ()))


def _standing(seen: Seen, migration: str, wall: float) -> Iterator[Standing]:
    """The operators' orders that concern it. What has just expired still holds back, but lets nobody go on."""
    for order in seen.orders:
        over = order.until_wall is not None and order.until_wall <= wall
        if order.migration in {migration, EVERYONE} and not (over and order.kind == "override"):
            yield order


def _words(order: Standing) -> str:
    return f"{order.kind} ordered by {order.owner}" + (f": {order.reason}" if order.reason else "")


def why(answer: Answer, limits: Mapping[str, str], wall: float) -> Iterator[str]:
    """A line for each rule: level, value with its limit and age, since when, what would let it go on."""
    for verdict in answer.verdicts:
        name, since, resume = str(verdict.get("rule")), verdict.get("since"), verdict.get("resume")
        parts = [f"{name}: {verdict.get('level')}: {verdict.get('because')}"]
        parts += [f"since {max(0.0, wall - since):.0f} s"] if since is not None else []
        parts += [f"limits: {limits[name]}"] if name in limits else []
        parts += [f"goes on once {resume}"] if resume else []
        parts += [f"baseline {verdict['baseline']}"] if verdict.get("baseline") else []
        yield " ".join("; ".join(parts).split())
