"""What `watch` knows of one database by now, and in which words each run stands. It asks nobody and draws nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from guard.cli.seen import RunSeen, View
from guard.model import EVERYONE, Phase

POINTS: Final = 60
"""So many of the newest values of a signal are drawn."""
EVENTS: Final = 50
"""So many of the newest events are remembered."""
_STILL: Final = 2.5
"""Seconds without a word of progress after which nothing moves."""
_WORDS: Final = {phase.value: phase.value.upper() for phase in Phase}
GUARD_WORDS: Final = {
    "live": "LIVE",
    "observing": "OBSERVES",
    "dormant": "DORMANT",
    "released": "STOPPED",
    "dead": "DEAD",
    "none": "NO GUARD",
}


@dataclass(frozen=True, slots=True)
class WatchedEvent:
    """Columns of cli_watch_events.sql."""

    event_id: int
    at: float
    kind: str
    migration: str
    run_id: int | None
    phase: str
    because: str
    headline: str | None

    @property
    def words(self) -> str:
        """What happened to whom, and why."""
        who = "unregistered sessions" if self.migration == EVERYONE else self.migration
        said = self.headline or f"{who}: {self.kind.replace('_', ' ')}"
        return f"{said}: {self.because}" if self.because else said

    @property
    def state(self) -> str:
        """The word for how its run stands after it."""
        return _WORDS.get(self.phase, self.phase.upper())


@dataclass(slots=True)
class Watched:
    """One database. *clock* is monotonic seconds of this process; all else is Unix time by the server's clock."""

    name: str
    only: str | None = None
    """The one migration that is asked for; None: all."""
    view: View | None = None
    trouble: str = ""
    """Why it does not answer now, in words; empty while it does."""
    silent_since: float | None = None
    """On *clock*; None while it answers."""
    heard: float = 0.0
    """On *clock*: when it answered last."""
    last_event: int = 0
    events: deque[WatchedEvent] = field(default_factory=lambda: deque(maxlen=EVENTS))
    curves: dict[str, deque[float]] = field(default_factory=dict)
    """The newest values of each rule's signal, oldest first."""
    speeds: dict[int, deque[float]] = field(default_factory=dict)
    """Rows per second of each run, oldest first."""
    _taken: dict[str, float] = field(default_factory=dict)
    _rows: dict[int, tuple[float, int]] = field(default_factory=dict)

    def answered(self, view: View, events: Iterable[WatchedEvent], clock: float) -> tuple[WatchedEvent, ...]:
        """It was asked and told this; the events that are news here."""
        self.trouble, self.silent_since, self.heard = "", None, clock
        self.view = view
        came = tuple(events)
        fresh = tuple(each for each in came if self.only in {None, each.migration})
        self.last_event = max([self.last_event, *(each.event_id for each in came)])
        self.events.extend(fresh)
        self._draw_on(view)
        return fresh

    def failed(self, why: str, clock: float) -> None:
        """It was asked and did not answer."""
        self.trouble = why
        self.silent_since = clock if self.silent_since is None else self.silent_since

    def now(self, clock: float) -> float:
        """The server's time; 0 before it has answered."""
        return self.view.guard.now_wall + (clock - self.heard) if self.view else 0.0

    def _draw_on(self, view: View) -> None:
        readings: Mapping[str, Any] = (view.guard.report or {}).get("readings", {})
        for rule, reading in readings.items():
            # The report is written every ten seconds where nothing changes: the same reading is no second point.
            if float(reading["at"]) > self._taken.get(rule, 0.0):
                self._taken[rule] = float(reading["at"])
                self.curves.setdefault(rule, deque(maxlen=POINTS)).append(float(reading["value"]))
        here = {run.run_id for run in view.runs}
        for run in view.runs:
            at, rows = self._rows.setdefault(run.run_id, (run.last_seen_wall, run.rows_done))
            speeds = self.speeds.setdefault(run.run_id, deque(maxlen=POINTS))
            # A client tells its progress once a second at most, and not at the moments at which it is looked at.
            if run.last_seen_wall > at:
                speeds.append(max(0.0, (run.rows_done - rows) / (run.last_seen_wall - at)))
                self._rows[run.run_id] = (run.last_seen_wall, run.rows_done)
            elif view.guard.now_wall - at > _STILL:
                speeds.append(0.0)
        self._rows = {run_id: rows for run_id, rows in self._rows.items() if run_id in here}
        self.speeds = {run_id: speeds for run_id, speeds in self.speeds.items() if run_id in here}


def state_of(found: View, run: RunSeen) -> tuple[str, str]:
    """How a run stands, as a word, and what is to be added to it; by what the server would tell the run now."""
    phase = str(found.reported(run).get("phase", ""))
    match run.told:
        case "lost":
            return ("GOES ON", "without a guard") if run.on_guard_lost == "proceed" else ("HOLDS", "without a guard")
        case "abort":
            rolling = phase == Phase.ROLLING_BACK and run.source == "guard"
            return _WORDS[Phase.ROLLING_BACK if rolling else Phase.ABORTED], _by(run)
        case "pause":
            # The guard lets nobody begin before it has seen every signal; that is no pause.
            begins = run.source == "guard" and (phase == Phase.WAITING or not run.admitted)
            return _WORDS[Phase.WAITING if begins else Phase.PAUSED], _by(run)
        case "proceed" if run.source == "observing":
            would = "" if phase in {"", Phase.RUNNING} else f"the guard only observes; else it were {phase}"
            return _WORDS[Phase.RUNNING], would
        case "proceed" if run.source == "guard" and phase == Phase.STRAINED:
            return _WORDS[Phase.STRAINED], ""
        case "proceed":
            return _WORDS[Phase.RUNNING], "by an operator's override" if run.source == "operator" else ""
        case _:
            return "ENDED", ""


def _by(run: RunSeen) -> str:
    return "by an operator" if run.source == "operator" else ""


def verdicts_of(found: View) -> tuple[Mapping[str, Any], ...]:
    """What each rule says by the newest report, once each: of several runs, what it says of the worst off."""
    report = found.guard.report or {}
    worst: dict[str, Mapping[str, Any]] = {}
    for each in (*report.get("runs", ()), *report.get("rules", ())):
        for verdict in each.get("verdicts", ()):
            known = worst.get(str(verdict.get("rule")))
            if known is None or _gravity(verdict) > _gravity(known):
                worst[str(verdict.get("rule"))] = verdict
    return tuple(worst.values())


_GRAVITY: Final = ("fine", "warn", "unknown", "pause", "cancel", "rollback")


def _gravity(verdict: Mapping[str, Any]) -> int:
    level = verdict.get("level")
    return _GRAVITY.index(level) if level in _GRAVITY else len(_GRAVITY)
