"""Values of a daemon to look at, and a Sight that holds them: for tests of what is shown."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from guard.show.sight import Channel, Seen

NOW = 1_800_000_000.0
"""Unix time of every look."""


def a_verdict(rule: str = "lag", **more: object) -> dict[str, object]:
    """As the report lists it."""
    verdict = {"rule": rule, "level": "fine", "because": f"{rule} 1 s", "since": None, "well": True, "resume": ""}
    return verdict | {"baseline": ""} | more


def a_report_run(migration: str = "backfill", **more: object) -> dict[str, object]:
    """As the report lists it: a run that may go on."""
    run = {"migration": migration, "run_id": 7, "phase": "running", "order": "proceed", "because": "all is well"}
    held = {"effective": False, "acknowledged_since": None, "effective_since": None, "stays": ""}
    return run | {"since": NOW - 60} | held | {"verdicts": [a_verdict()]} | more


def paused(migration: str = "backfill", **more: object) -> dict[str, object]:
    """One that is told to pause."""
    verdict = a_verdict(level="pause", because="lag 9 s > 5s", since=NOW - 30, well=False, resume="< 2s for 15s")
    held = {"phase": "paused", "order": "pause", "because": "lag 9 s > 5s", "effective": True, "verdicts": [verdict]}
    return a_report_run(migration, **(held | more))


def a_seen(*runs: dict[str, object], report: dict[str, Any] | None = None, **more: Any) -> Seen:
    """A guard that leads and is well, and judged a moment ago."""
    said = {"mode": "live", "at": NOW, "runs": list(runs), "rules": [], "troubles": {}, "limits": {}, "readings": {}}
    seen = Seen(
        database="main",
        guard_id="tests",
        mode="live",
        leading=True,
        trouble="",
        ended_because="",
        judged_age=0.1,
        beat_age=0.4,
        lease=10.0,
        report=said | (report or {}),
        polls={},
        decision_seconds=0.002,
    )
    return dataclasses.replace(seen, **more)


@dataclass
class StillSight:
    """Shows what it holds; nothing ever changes by itself."""

    seen: tuple[Seen, ...] = field(default_factory=lambda: (a_seen(),))
    lines: tuple[Channel, ...] = ()

    def look(self) -> tuple[Seen, ...]:
        return self.seen

    def channels(self) -> tuple[Channel, ...]:
        return self.lines

    async def changed(self) -> None: ...
