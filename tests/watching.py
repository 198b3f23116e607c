"""What a watch may come to see, made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guard.cli.seen import GuardSeen, OrderSeen, RunSeen, View
from guard.cli.watched import Watched, WatchedEvent

NOON = 1_750_000_000.0
"""15:06:40 UTC."""
BREACH = "replication.lag 7.4 s > 5s for 3s, now for 3 s (replica1, 120 ms old)"


def a_guard(*, mode: str = "live", beat_age: float = 0.4, now: float = NOON, **report: Any) -> GuardSeen:
    """A guard that spoke *beat_age* seconds ago; its lease is 10 s."""
    return GuardSeen(
        standby=False,
        now_wall=now,
        guard_id="web1",
        term=3,
        epoch=17,
        beat=99,
        mode=mode,
        beat_age=beat_age,
        remaining=10 - beat_age,
        report=report,
        report_age=2.0,
        leader="web1",
        led=beat_age < 10,
    )


def a_run(told: str | None = "proceed", because: str = "", **more: Any) -> RunSeen:
    """Run 27, of which nothing is out of the ordinary."""
    usual = {
        "run_id": 27,
        "migration": "backfill-email",
        "pid": 4711,
        "usename": "migrator",
        "application_name": "migration:backfill-email",
        "rows_done": 1_234_000,
        "batches_done": 1_234,
        "note": "",
        "registered_wall": NOON - 600,
        "last_seen_wall": NOON - 1,
        "acknowledged_epoch": 17,
        "outcome": None,
        "outcome_detail": None,
        "ended_wall": None,
        "pooled": False,
        "on_guard_lost": "wait",
        "admitted": True,
        "here": True,
        "told": told,
        "because": because,
        "source": "guard",
        "barred_because": None,
        "rollback_outcome": None,
        "rollback_claimed": False,
    }
    return RunSeen(**{**usual, **more})


def a_verdict(rule: str, level: str = "fine", **more: object) -> dict[str, object]:
    """As a guard reports it."""
    said = {"rule": rule, "level": level, "because": f"{rule} says so", "since": None, "well": level == "fine"}
    return {**said, "resume": "", "baseline": "", **more}


def a_report(phase: str, *verdicts: Mapping[str, object], run_id: int | None = 27, **more: object) -> dict[str, object]:
    """A guard's report of one run, since 146 s."""
    return {
        "migration": "backfill-email",
        "run_id": run_id,
        "phase": phase,
        "because": BREACH,
        "since": NOON - 146,
        "verdicts": list(verdicts),
        **more,
    }


def an_event(event_id: int, kind: str = "paused", phase: str = "paused", **more: Any) -> WatchedEvent:
    """Of run 27; a headline as the guard writes it."""
    usual = {
        "at": NOON - 146 + event_id,
        "migration": "backfill-email",
        "run_id": 27,
        "because": BREACH,
        "headline": f"backfill-email {kind}",
    }
    return WatchedEvent(event_id=event_id, kind=kind, phase=phase, **{**usual, **more})


def an_order(kind: str = "pause", migration: str = "backfill-email") -> OrderSeen:
    return OrderSeen(5, kind, migration, None, "ann", "lunch", NOON - 60, None)


def paused() -> View:
    """A run that lag has paused, beside a rule that is well and one that nobody can see."""
    verdicts = (
        a_verdict("replica lag", "pause", because=BREACH, well=False, resume="replication.lag < 2s for 15s"),
        a_verdict("lock queue"),
        a_verdict("checkout errors", "unknown", because="checkout errors (http) is unknown for 2 s: refused"),
    )
    run = a_report("paused", *verdicts, acknowledged_since=NOON - 145.8, effective=True, effective_since=NOON - 145.5)
    report: dict[str, Any] = {
        "runs": [run],
        "readings": {
            "replica lag": {"value": 7.4, "unit": "seconds", "at": NOON - 2},
            "lock queue": {"value": 0, "unit": "count", "at": NOON - 2},
        },
        "limits": {"replica lag": "pause > 5s for 3s; goes on < 2s for 15s", "lock queue": "cancel >= 3"},
    }
    return View(a_guard(**report), (a_run("pause", BREACH),), ())


def watched(view: View | None = None, *events: WatchedEvent, name: str = "main") -> Watched:
    """One database that has been asked once, 100 s after this process began to count."""
    found = Watched(name)
    if view is not None:
        found.answered(view, events, 100.0)
    return found
