"""What came of a rung that a run climbed since it did not keep to its pause: which rungs count, and what is told."""

from __future__ import annotations

from collections.abc import Collection

from guard.cycle.chores import Stopped
from guard.cycle.disobeyed import told_for
from guard.cycle.words import invalid
from guard.decide.notices import Draft
from guard.decide.obeying import CANCEL, TERMINATE
from guard.model import Severity
from guard.ports import CancelReport

_SEEN = {
    CANCEL: 'Its client has seen "canceling statement due to user request" (57014).',
    TERMINATE: 'Its client has seen "terminating connection due to administrator command" (57P01).',
}
_DONE = {CANCEL: "cancelled", TERMINATE: "terminated"}


def climbed(result: Stopped) -> tuple[str, ...]:
    """The rungs that are behind it: of who may not be cancelled, nobody tries to terminate it either."""
    hows = {ended.how for ended in result.report.ended}
    if hows & set(_DONE.values()):
        return (result.rung,)
    return (CANCEL, TERMINATE) if "refused" in hows else ()


def stopped(result: Stopped, wall: float, allowed: Collection[str]) -> Draft | None:
    """What people are told; None where its sessions had moved on, or could not even be looked at.

    *allowed*: the rungs that may be taken.
    """
    report = result.report
    if not climbed(result):
        return None
    ended = [each for each in report.ended if each.how != "already gone"]
    because = told_for(result.state, wall)
    left = [each for each in ended if not each.gone]
    if not left:
        done = _DONE[TERMINATE] if any(each.how == _DONE[TERMINATE] for each in ended) else _DONE[result.rung]
        rung = next(rung for rung, word in _DONE.items() if word == done)
        step = f"{_SEEN[rung]}{' It may try again, and waits then.' * (rung == CANCEL)}{invalid(report)}"
        return Draft("stopped", Severity.WARNING, f"{done}, since it did not pause", because, step, (), _fields(report))
    commands = tuple(f"select pg_terminate_backend({each.session.pid});" for each in left)
    fields, refused = _fields(report), next((each for each in left if each.how == "refused"), None)
    if refused is not None:
        words, step = f"did not pause, and could not be ended: {refused.detail}", "A superuser can end it."
        return Draft("cancel_failed", Severity.CRITICAL, words, because, step, commands, fields)
    words = f"was {_DONE[result.rung]}, since it did not pause, and is still at work"
    if result.rung == CANCEL and TERMINATE in allowed:
        return Draft("stopped", Severity.WARNING, words, because, "Its session is ended next.", (), fields)
    step = "The guard may do no more. It goes on for as long as it lasts."
    return Draft("cancel_failed", Severity.CRITICAL, words, because, step, commands, fields)


def _fields(report: CancelReport) -> dict[str, str]:
    sessions = (f"{each.session.words}: {each.how} {each.detail}".strip() for each in report.ended)
    behind = {"left behind": "; ".join(report.leftovers)} if report.leftovers else {}
    spared = {"left to finish": "; ".join(report.spared)} if report.spared else {}
    return {"sessions": "; ".join(sessions), **behind, **spared}
