"""What a daemon could show, as values: for tests of pages and of what is scraped."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from guard.show.sight import Channel, Progress, Seen, Standing

WALL = 1_790_000_000.0


def a_verdict(rule: str = "replica lag", level: str = "fine", **more: Any) -> dict[str, Any]:
    """One rule's word, as the guard reports it."""
    said = f"replication.lag 7.4 s > 5s for 3s, now for 3.2 s (slowest standby: replica1, 120 ms old) by {rule}"
    well = level == "fine"
    resume = "" if well else "replication.lag < 2s for 15s"
    told = {"rule": rule, "level": level, "because": said, "since": None if well else WALL - 60, "well": well}
    return {**told, "resume": resume, "baseline": "", **more}


def a_run(
    run_id: int | None = 1, phase: str = "running", migration: str = "backfill-email", **more: Any
) -> dict[str, Any]:
    """One run, as the guard reports it."""
    order = {"paused": "pause", "waiting": "pause", "aborted": "abort", "rolling back": "abort"}.get(phase, "proceed")
    verdicts = [a_verdict(level="pause" if phase == "paused" else "fine"), *(a_verdict(f"rule {n}") for n in range(4))]
    because = verdicts[0]["because"] if phase == "paused" else "every rule is well"
    told = {"migration": migration, "run_id": run_id, "phase": phase, "order": order, "because": because}
    times = {"since": WALL - 100, "effective": phase == "paused", "effective_since": None, "acknowledged_since": None}
    return {**told, **times, "stays": "", "verdicts": verdicts, **more}


def a_database(name: str = "main", *runs: Mapping[str, Any], **more: Any) -> Seen:
    """One database that is guarded; `report` adds to what its guard reports."""
    rules = [] if runs else [{"verdicts": [a_verdict(), *(a_verdict(f"rule {n}") for n in range(4))]}]
    report = {"mode": "live", "at": WALL, "runs": list(runs), "rules": rules, "troubles": {}, "told_orders": []}
    limits = {"replica lag": "pause > 5s for 3s; goes on < 2s for 15s"}
    progress = {
        run["run_id"]: Progress(4711, "migrator", "migration:backfill-email", 120_000, 120, "", WALL - 500, WALL - 1)
        for run in runs
        if run["run_id"] is not None
    }
    known: dict[str, Any] = {
        "guard_id": "guard-1",
        "mode": "live" if runs else "dormant",
        "leading": True,
        "trouble": "",
        "ended_because": "",
        "judged_age": 0.1,
        "beat_age": 0.4,
        "lease": 10.0,
        "polls": {},
        "decision_seconds": 0.004,
        "progress": progress,
    }
    return Seen(database=name, **{**known, **more, "report": {**report, "limits": limits, **more.get("report", {})}})


def an_order(kind: str = "pause", migration: str = "*", **more: Any) -> Standing:
    """An order that ada has given."""
    known = {"rule": None, "owner": "ada", "reason": "sale begins", "since_wall": WALL, "until_wall": WALL + 1800}
    return Standing(kind=kind, migration=migration, **{**known, **more})


class Stage:
    """A sight that a test sets; `show` is what a step of a guard is."""

    def __init__(self, *seen: Seen) -> None:
        self.seen = seen
        self.told: tuple[Channel, ...] = (Channel("log", 0, 0, None, ""),)
        self.looks = 0
        self._stepped = asyncio.Event()

    def show(self, *seen: Seen) -> None:
        """From now on this is seen, and whoever waits hears of it. From within the loop."""
        self.seen = seen
        stepped, self._stepped = self._stepped, asyncio.Event()
        stepped.set()

    def look(self) -> tuple[Seen, ...]:
        self.looks += 1
        return self.seen

    def channels(self) -> tuple[Channel, ...]:
        return self.told

    async def changed(self) -> None:
        await self._stepped.wait()
