"""Values of the cycle as words: the report that `status` and `explain` read, and what came of clearing a queue."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from guard.decide import notices
from guard.decide.machine import ORDERS
from guard.model import Condition, Finding, OperatorOrder, OrderKind, Reading, Rule, Sample, Session, Severity, State
from guard.ports import PAGE, RECORDER, CancelReport
from guard.records import operator_order_to_dict

LAG = "replication.lag"
_ORDERED_NOTHING = {"order": OrderKind.PROCEED.word}


def report(
    states: Sequence[State],
    finding: Callable[[str], Finding],
    orders: Sequence[OperatorOrder],
    troubles: Mapping[str, str],
    *,
    mode: str,
    now: float,
    wall: float,
) -> dict[str, object]:
    """Everything that a person may ask of this guard, as a JSON object. Times are Unix seconds.

    `orders` are those of operators that people have been told of: the next guard tells the others. `troubles` say why
    people are not reached.
    """
    return {
        "mode": mode,
        "at": wall,
        "runs": [
            _run(state, finding(state.migration), now, wall) | (_ORDERED_NOTHING if mode == "observing" else {})
            for state in states
        ],
        "rules": [_verdicts(finding, now, wall)] if not states else [],
        "troubles": dict(troubles),
        "told_orders": [operator_order_to_dict(order) for order in orders],
    }


def limits(rules: Sequence[Rule]) -> dict[str, str]:
    """What each rule goes by, in the words of the file: `pause > 5s for 3s; goes on < 2s for 10s`."""
    rungs = ("warn", "pause", "cancel", "rollback")
    return {
        rule.name: "; ".join(
            [f"{rung} {condition.text}" for rung in rungs if (condition := getattr(rule, rung)) is not None]
            + ([f"goes on {rule.resume.text}"] if rule.stops else [])
        )
        for rule in rules
    }


def readings(
    rules: Sequence[Rule], samples: Mapping[str, Sample], *, now: float, wall: float
) -> dict[str, dict[str, object]]:
    """The newest number of each rule that has one, its unit, and when it was taken as Unix time: for curves.

    What is no number in JSON, such as a share of nothing, is left out; the verdict has its words.
    """
    return {
        rule.name: {"value": sample.value, "unit": rule.dimension.value, "at": round(wall - (now - sample.taken_at), 3)}
        for rule in rules
        if isinstance(sample := samples.get(rule.sensor), Reading) and math.isfinite(sample.value)
    }


def pacing(
    rules: Sequence[Rule], standbys: tuple[str, ...] | int | None, aside: Sequence[str] = ()
) -> dict[str, object]:
    """What a migration needs that paces itself by what standbys have still to replay.

    `standbys`: who must stream; `aside`: who need not stream from the primary itself; `lag`: the seconds of lag at
    which the first of the rules pauses.
    """
    lags = [_lasting(rule.pause) for rule in rules if rule.metric == LAG and rule.pause is not None]
    lag = min((each for each in lags if each > 0), default=None)
    expected = {} if standbys is None else {"standbys": standbys if isinstance(standbys, int) else list(standbys)}
    far = {"aside": list(aside)} if aside else {}
    return expected | far | ({} if lag is None else {"lag": lag})


def _lasting(pause: Condition) -> float:
    """The lag from which it may hold, whatever the baseline; 0 where that is all that it goes by."""
    absolute = [term.limit.value for term in pause.terms if term.limit.kind == "absolute" and term.op.startswith(">")]
    return max(absolute, default=0.0)


def _run(state: State, finding: Finding, now: float, wall: float) -> dict[str, object]:
    return {
        "migration": state.migration,
        "run_id": state.run_id,
        "phase": state.phase.value,
        "order": ORDERS[state.phase].word,
        "because": state.because,
        "since": state.since_wall,
        "effective": state.effective,
        "acknowledged_since": state.acknowledged_since_wall,
        "effective_since": state.effective_since_wall,
        "stays": state.stays,
        "verdicts": _listed(finding, now, wall),
    }


def _verdicts(finding: Callable[[str], Finding], now: float, wall: float) -> dict[str, object]:
    return {"verdicts": _listed(finding("*"), now, wall)}


def _listed(finding: Finding, now: float, wall: float) -> list[dict[str, object]]:
    return [
        {
            "rule": verdict.rule,
            "level": verdict.level.value,
            "because": verdict.because,
            "since": None if verdict.since is None else wall - (now - verdict.since),
            "well": verdict.well,
            "resume": "" if verdict.well else verdict.resume,
            "baseline": verdict.baseline,
        }
        for verdict in finding.verdicts
    ]


def ailing(name: str) -> str:
    """What is wrong where one of the troubles has this name."""
    return {RECORDER: f"{name} cannot be written", PAGE: f"{name} cannot be reached"}.get(
        name, f"{name} does not get through"
    )


_SEEN = {
    "cancelled": 'Its client has seen "canceling statement due to user request" (57014)',
    "terminated": 'Its client has seen "terminating connection due to administrator command" (57P01)',
}


def queue_cleared(outcome: CancelReport, because: str) -> notices.Draft | None:
    """What people are told of an attempt to clear a queue; None where there was nothing to clear any more."""
    if not outcome.ended and "could not be done" in outcome.nothing_because:
        words = f"could not be cancelled: {outcome.nothing_because}"
        return notices.cancelled("cancel_failed", words, because, {}, next_step="The guard tries again at each look.")
    # Who had moved on, or was fenced by then, was not touched.
    if all(ended.how == "already gone" for ended in outcome.ended):
        return _left_to_finish(outcome, because) if outcome.spared else None
    fields = {"queued behind it": str(outcome.queued)}
    if outcome.root:
        fields["root blocker"] = outcome.root
    if outcome.leftovers:
        fields["left behind"] = "; ".join(outcome.leftovers)
    fields["sessions"] = "; ".join(f"{_named(e.session)}: {e.how} {e.detail}".strip() for e in outcome.ended)
    # Who did not yield to a cancel is there a second time, as terminated.
    last_word = {ended.session.pid: ended for ended in outcome.ended}
    left = [ended for ended in last_word.values() if not ended.gone]
    if not left:
        how = "terminated" if any(e.how == "terminated" for e in outcome.ended) else "cancelled"
        again = " once the root blocker is gone" if outcome.root else ""
        step = f"{_SEEN[how]}, and may try again{again}. A registered one that comes a third time is aborted."
        step += invalid(outcome)
        words = f"{how}, the queue behind it is released"
        return notices.cancelled("cancelled", words, because, fields, next_step=step)
    words = f"could not be cancelled: {left[-1].how} {left[-1].detail or outcome.nothing_because}".strip()
    ends = " ".join(f"select pg_terminate_backend({ended.session.pid});" for ended in left)
    step = f"The queue stands for as long as it lasts. A superuser can end it: {ends}"
    return notices.cancelled("cancel_failed", words, because, fields, next_step=step)


def invalid(outcome: CancelReport) -> str:
    """What must be known before the next try where an invalid index was left behind; empty where none was."""
    if not any("invalid index" in words for words in outcome.leftovers):
        return ""
    return " CREATE INDEX CONCURRENTLY IF NOT EXISTS takes an invalid index for one that is there: drop it first."


def _left_to_finish(outcome: CancelReport, because: str) -> notices.Draft:
    fields = {"root blocker": outcome.root} if outcome.root else {}
    headline = f"is left to finish although others wait: {'; '.join(outcome.spared)}"
    step = "Cancelled it would leave damage behind. Where it takes too long, end it with pg_cancel_backend(pid)."
    return notices.Draft("let_finish", Severity.WARNING, headline, because, step, (), fields)


def _named(session: Session) -> str:
    return f"pid {session.pid} ({session.usename}, {session.application_name or 'no application_name'})"
