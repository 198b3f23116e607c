"""What the flight recorder has of one run, where it is on this machine; and what of it stands in the report."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guard.errors import WorldError
from guard.judge.quantities import say
from guard.show.timeline import Band, Mark, Signal, Timeline

if TYPE_CHECKING:
    from guard.cli.where import Target
    from guard.journal import Reader

BEFORE = AFTER = 1800.0
"""Seconds before and after a run of which readings are told beside those during it."""
_SKEW = 60.0
"""Seconds by which the clocks of the server and of the guard's machine may differ, and a run is drawn whole."""
_MOST_BANDS = 500
"""Of a run that flapped for days the newest are drawn."""
_RIM = 0.06
"""Share of the run that is drawn before and after it."""


@dataclass(frozen=True, slots=True)
class Span:
    """One run and its time, in Unix seconds by the server's clock."""

    migration: str
    run_id: int
    since: float
    until: float

    @property
    def rim(self) -> float:
        """Seconds that are drawn before and after."""
        return min(600.0, max(3.0, (self.until - self.since) * _RIM))


@dataclass(frozen=True, slots=True)
class Readings:
    """The timeline of a run, or why there is none."""

    recorder: Path | None = None
    timeline: Timeline | None = None
    missing: str = ""

    def as_json(self) -> dict[str, object]:
        """For `report --json`: what stands in the columns of a report, not each reading."""
        timeline = self.timeline
        last = timeline.progress[-1] if timeline is not None and timeline.progress else None
        return {
            "recorder": None if self.recorder is None else str(self.recorder),
            "missing": self.missing,
            "lost_seconds": 0.0 if timeline is None else round(timeline.missing, 3),
            "signals": [_signal(each) for each in timeline.signals] if timeline is not None else [],
            "progress": None if last is None else {"at": last.wall, "rows": last.rows, "batches": last.batches},
        }


def readings_of(where: Target, span: Span, journal: Path | None) -> Readings:
    """The readings around a run. Never raises for what the recorder's file is like: a report goes without."""
    from guard.journal import Reader
    from guard.wiring import TAPE

    place = journal
    if place is None and where.settings is not None:
        place = where.settings.guard.state_directory
    if place is None:
        return Readings(missing="the flight recorder is found by the configuration file (-c), or by --journal.")
    try:
        path = place / TAPE if place.is_dir() or journal is None else place
        tape = Reader(path)
        timeline = _timeline(tape, _database(tape, where), span)
    except WorldError as wrong:
        return Readings(missing=f"{wrong} The flight recorder is on the machine of the guard.")
    except OSError as wrong:
        return Readings(missing=f"{wrong.filename or place} cannot be read: {wrong.strerror}.")
    except (ValueError, KeyError, TypeError):
        return Readings(missing=f"{place} was written by a version that this one cannot read.")
    if not timeline.bands:
        return Readings(missing=f"nothing of this run is in {path}.")
    return Readings(path, timeline)


def _database(tape: Reader, where: Target) -> str:
    """By which name the tape knows it. By a DSN alone nobody says how the file calls it."""
    kept = tape.databases()
    if where.name in kept or where.settings is not None or len(kept) != 1:
        return where.name
    return kept[0]


def _timeline(tape: Reader, database: str, span: Span) -> Timeline:
    from guard.show.tracing import Tracing

    def make(frames: Any) -> Timeline:
        run = (span.migration, span.run_id)
        around = span.rim + _SKEW
        tracing = Tracing(database, run, since=span.since - around, until=span.until + around)
        for frame in frames:
            tracing.take(frame)
        return tracing.timeline()

    return _cropped(tape.between(database, span.since - BEFORE, span.until + AFTER, make), span)


def _cropped(timeline: Timeline, span: Span) -> Timeline:
    """What is drawn: the run as the server told of it, and as the guard saw it, whose clock may be another."""
    seen = [wall for band in timeline.bands for wall in (band.since, band.until) if wall is not None]
    near = [wall for wall in seen if span.since - _SKEW <= wall <= span.until + _SKEW]
    since, until = min([span.since, *near]) - span.rim, max([span.until, *near]) + span.rim
    signals = (
        dataclasses.replace(signal, points=tuple(each for each in signal.points if since <= each.wall <= until))
        for signal in timeline.signals
    )
    return dataclasses.replace(timeline, since=since, until=until, signals=tuple(signals))


def drawn_of(told: Mapping[str, Any], readings: Readings, span: Span) -> Timeline:
    """What is drawn: by the recorder, and where there is none by the audit trail; with what operators ordered."""
    timeline, trail = readings.timeline, [_band(each) for each in told["phases"]]
    if timeline is None:
        run = told["run"]
        named, drawn = (
            (told["database"], run["migration"], run["run_id"]),
            (span.since - span.rim, span.until + span.rim),
        )
        marks = tuple(Mark(each["at"], "cancelled", f"cancelled: {each['because']}") for each in told["cancels"])
        timeline = Timeline(*named, *drawn, marks=marks)
    ordered = (
        Band(each["kind"], each["since"], each["until"], f"{each['owner']}: {each['reason']}")
        for each in told["orders"]
    )
    return dataclasses.replace(timeline, bands=(*_continued(timeline.bands, trail), *ordered))


def _band(phase: Mapping[str, Any]) -> Band:
    return Band(phase["phase"], phase["since"], phase["until"], phase["because"], phase["effective_after"])


def _continued(recorded: Sequence[Band], trail: Sequence[Band]) -> list[Band]:
    """The phases as recorded, and those that only the trail has by now: the recorder writes every ten seconds."""
    bands, count = list(recorded), len(recorded)
    if [band.kind for band in trail[:count]] == [band.kind for band in recorded]:
        if bands and len(trail) > count:
            bands[-1] = dataclasses.replace(bands[-1], until=trail[count].since)
        bands += trail[count:]
    return [band for band in bands if band.kind != "done"][-_MOST_BANDS:]


def _signal(signal: Signal) -> dict[str, object]:
    worst = signal.worst
    return {
        "sensor": signal.sensor,
        "metric": signal.metric,
        "rules": list(signal.rules),
        "unit": signal.dimension.value,
        "baseline": signal.baseline,
        "limits": [line.words for line in signal.limits],
        "past": list(signal.past),
        "readings": signal.readings,
        "silences": signal.silences,
        "worst": None if worst is None else {"at": round(worst.wall, 3), "value": _finite(worst.value)},
        "stages": [
            {"stage": each.name, "count": each.count, "median": _finite(each.median), "worst": _finite(each.worst)}
            for each in signal.stages
        ],
    }


def _finite(value: float | None) -> float | None:
    """JSON has no word for what is infinite, such as a quantile beyond the last bucket: it is a value that is null."""
    return value if value is not None and math.isfinite(value) else None


def signal_words(signal: Signal) -> str:
    """`lag: worst 9 s while it ran, past its pause limit (pause > 5 s); median 1 s of 90 readings`."""
    worst = signal.worst.value if signal.worst is not None else None
    said = (
        f"worst {say(worst, signal.dimension)} during the run"
        if worst is not None
        else "nothing was read during the run"
    )
    past = f", past its limit to {signal.past[-1]}" if signal.past else ""
    limits = f" ({'; '.join(line.words for line in signal.limits)})" if signal.limits else ""
    medians = (f"{each.name} {say(each.median, signal.dimension)}" for each in signal.stages)
    return f"{signal.name}: {said}{past}{limits}; medians: {', '.join(medians) or 'none'}"
