"""What the message on top of a run's thread says: how the run stands now, and what of its past must stay in sight.

Pure: notices go in, one notice to be shown comes out. It sends and keeps nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from guard.model import Notice, Severity
from guard.records import notice_from_dict, notice_to_dict
from guard.tell.slack_blocks import utc

PAUSES: Final = frozenset({"paused", "stays_paused"})
STATES: Final = PAUSES | {
    *("started", "resumed", "warned", "pause_lasts", "no_help", "aborted", "soaking", "ended", "gone"),
    *("rollback_due", "rolling_back", "rolled_back", "rollback_failed", "rollback_unverified", "rollback_withheld"),
}
"""Kinds that say how a run stands. Any other is news beside it, shown until the next state."""
STAYING: Final = frozenset({"check_failed", "check_unknown", "cancel_failed"})
"""Kinds that stay in sight, whatever comes after."""
OBSERVED: Final = "(observe mode: nothing was ordered)"
"""How headlines end of what was only thought of: such a pause was none."""
BECAUSE: Final = "paused because"
WORST: Final = "worst"
"""Fields of the notice that a pause is over: why it began, and the peak meanwhile."""
TOOK: Final = "took"
"""A field of every digest of a run that has ended, and of nothing else."""
_REMINDERS: Final = frozenset({"pause_lasts", "no_help"})
_MOST_STAYING: Final = 3
_GRAVITY: Final = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}


@dataclass(frozen=True, slots=True)
class Summary:
    """A run as it stands after the newest notice of it."""

    state: Notice
    """The newest that says how it stands; the first of all where none does yet."""
    newest: Notice
    since_wall: float
    """When that state began: a reminder of it does not begin it anew."""
    pauses: int = 0
    pause: str = ""
    """Why it was paused last: the value that fired, and the peak once that is known."""
    digest: dict[str, str] = field(default_factory=dict)
    """What the run came to, once it has ended."""
    staying: tuple[str, ...] = ()


def fold(before: Summary | None, notice: Notice) -> Summary:
    """The summary after one more notice. The same notice again, after a kill, changes nothing."""
    if before is not None and before.newest.notice_id == notice.notice_id:
        return before
    summary = before or Summary(notice, notice, notice.at_wall)
    changes: dict[str, object] = {"newest": notice}
    if notice.kind in STATES:
        lasts = before is not None and _goes_on(before.state, notice)
        changes |= {"state": notice, "since_wall": summary.since_wall if lasts else notice.at_wall}
    if notice.kind in PAUSES and not notice.headline.endswith(OBSERVED):
        changes |= {"pauses": summary.pauses + 1, "pause": notice.because}
    elif notice.kind == "resumed" and summary.pause and (worst := notice.fields.get(WORST)):
        changes["pause"] = f"{summary.pause}; {WORST}: {worst}"
    if TOOK in notice.fields:
        changes["digest"] = dict(notice.fields)
    if notice.kind in STAYING:
        changes["staying"] = (*summary.staying, notice.headline)[-_MOST_STAYING:]
    return dataclasses.replace(summary, **changes)  # type: ignore[arg-type]


def shown(summary: Summary) -> Notice:
    """The notice that shows it."""
    state, newest = summary.state, summary.newest
    beside = newest if newest.kind not in STATES and newest.notice_id != state.notice_id else None
    graver = beside is not None and _GRAVITY[beside.severity] > _GRAVITY[state.severity]
    severity = beside.severity if beside is not None and graver else state.severity
    fields = {"Since": utc(summary.since_wall)}
    if summary.pauses and not summary.digest:
        fields["Pauses so far"] = str(summary.pauses)
    if summary.pause and state.kind not in PAUSES | _REMINDERS:
        fields["Last pause"] = summary.pause
    if summary.staying:
        fields["Stays true"] = "; ".join(summary.staying)
        severity = max(severity, Severity.WARNING, key=_GRAVITY.__getitem__)
    if beside is not None and beside.headline not in summary.staying:
        fields["Meanwhile"] = f"{beside.headline}: {beside.because}"
    return dataclasses.replace(
        state,
        notice_id=newest.notice_id,
        at_wall=newest.at_wall,
        severity=severity,
        fields=fields | _of_state(state) | summary.digest,
    )


def to_dict(summary: Summary) -> dict[str, object]:
    """All of it, as JSON takes it."""
    return {
        "state": notice_to_dict(summary.state),
        "newest": notice_to_dict(summary.newest),
        "since_wall": summary.since_wall,
        "pauses": summary.pauses,
        "pause": summary.pause,
        "digest": summary.digest,
        "staying": list(summary.staying),
    }


def from_dict(record: Mapping[str, object]) -> Summary:
    """Read what to_dict wrote. Raises ValueError."""
    kinds: dict[str, Any] = {
        "state": dict,
        "newest": dict,
        "since_wall": (int, float),
        "pauses": int,
        "pause": str,
        "digest": dict,
        "staying": list,
    }
    if wrong := [key for key, kind in kinds.items() if not isinstance(record.get(key), kind)]:
        raise ValueError(f"{', '.join(wrong)} cannot be read")
    read: Any = record
    return Summary(
        notice_from_dict(read["state"]),
        notice_from_dict(read["newest"]),
        float(read["since_wall"]),
        read["pauses"],
        read["pause"],
        {str(key): str(value) for key, value in read["digest"].items()},
        tuple(str(each) for each in read["staying"]),
    )


def _goes_on(before: Notice, notice: Notice) -> bool:
    """Whether a notice says of the same state once more."""
    return notice.kind in _REMINDERS and before.kind in PAUSES | _REMINDERS


def _of_state(state: Notice) -> dict[str, str]:
    """Its fields, but what is shown as the last pause; those of a digest stand there."""
    shown_so = state.kind == "resumed" and not state.headline.endswith(OBSERVED)
    said = {BECAUSE, WORST} if shown_so else set()
    return {key: value for key, value in state.fields.items() if key not in said}
