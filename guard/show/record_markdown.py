"""The record of a run as Markdown, for a ticket: the figures of `report --json`, signals as curves of letters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from guard.judge import sparkline
from guard.judge.quantities import say, say_seconds
from guard.model import Dimension
from guard.show.axes import clock
from guard.show.record_html import Told, mark_of, outcome_of, stage_words, summary_of
from guard.show.timeline import STAGES, Signal, Timeline, evenly, held

_WIDTH: Final = 48
"""Letters of a curve."""
_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~])")


def page(told: Told, facts: Sequence[tuple[str, str]], timeline: Timeline) -> str:
    """The whole document. *facts* are what `report` says in words, by head."""
    run = told["run"]
    where = f"Run {run['run_id']} in database {_text(told['database'])}, began {_at(run['registered_wall'])} UTC."
    lines = [
        f"<!-- {mark_of(told)} -->",
        f"# {_text(run['migration'])}: {outcome_of(told)}",
        "",
        f"{where} {_text(summary_of(told))}",
        *_signals(told, timeline),
        *_decisions(told),
        *_orders(told),
        *_checks(told),
        "",
        "## Facts",
        *(f"- {head}: {_text(words)}" for head, words in facts),
        "",
        _sources(told),
    ]
    return "\n".join(lines) + "\n"


def _text(words: object) -> str:
    """One line in which nothing is markup: names and reasons are others' words."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(words).split()))


def _at(wall: float | None) -> str:
    return "" if wall is None else clock(wall, "%Y-%m-%d %H:%M:%S")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    return lines + [f"| {' | '.join(cells)} |" for cells in rows]


def _signals(told: Told, timeline: Timeline) -> list[str]:
    signals, missing = told["readings"]["signals"], told["readings"]["missing"]
    if not signals:
        return ["", f"No readings: {_text(missing)}"] if missing else []
    heads = ("signal", "baseline", *(f"{name}: median, worst (readings)" for name in STAGES), "limits")
    rows = []
    for each in signals:
        unit, stages = Dimension(each["unit"]), {stage["stage"]: stage for stage in each["stages"]}
        name = _text(", ".join(each["rules"]) or each["sensor"])
        baseline = "" if each["baseline"] is None else say(each["baseline"], unit)
        figures = (stage_words(stages.get(stage), unit) for stage in STAGES)
        rows.append((name, baseline, *figures, _text("; ".join(each["limits"]))))
    drawn = [signal for signal in timeline.signals if signal.past]
    width = max((len(signal.name) for signal in drawn), default=0)
    paused = held(timeline, _WIDTH)
    curves = [
        f"    {' '.join(signal.name.split()):<{width}} "
        f"{sparkline.line(evenly(signal.points, timeline, _WIDTH), _WIDTH, marked=paused)} up to {_highest(signal)}"
        for signal in drawn
    ]
    since, until = _at(timeline.since), _at(timeline.until)
    shown = ["", f"From {since} to {until} UTC, in brackets while it was held:", "", *curves] if curves else []
    return ["", "## Readings", "", *_table(heads, rows), *shown]


def _highest(signal: Signal) -> str:
    known = [point.value for point in signal.points if point.value is not None]
    return say(max(known), signal.dimension) if known else "nothing"


def _decisions(told: Told) -> list[str]:
    rows = (
        (
            _at(each["since"]),
            each["phase"],
            say_seconds(round(each["seconds"], 1)) + (" so far" if each["until"] is None else ""),
            _text(each["because"]),
        )
        for each in told["phases"]
    )
    cancels = [f"- {_at(each['at'])} cancelled: {_text(each['because'])}" for each in told["cancels"]]
    heads = ("at (UTC)", "phase", "for", "because")
    body = _table(heads, rows) if told["phases"] else ["No guard has written anything of it, or that was pruned since."]
    return ["", "## Decisions", "", *body, *(["", *cancels] if cancels else [])]


def _orders(told: Told) -> list[str]:
    rows = [
        (
            _at(each["since"]),
            _text(each["owner"]),
            each["kind"],
            say_seconds(round(each["seconds"], 1)) + (" so far" if each["until"] is None else ""),
            _text(each["reason"]),
        )
        for each in told["orders"]
    ]
    if not rows:
        return []
    return ["", "## Who did what", "", *_table(("at (UTC)", "who", "ordered", "for", "reason"), rows)]


def _checks(told: Told) -> list[str]:
    words = {True: "holds", False: "FAILS"}
    rows = [
        (when, _text(each["check"]), words.get(each["holds"], "UNKNOWN"), _text(each["said"]))
        for when in ("before", "after")
        for each in told[f"checks_{when}"]
    ]
    return ["", "## Verification", "", *_table(("when", "check", "result", "answer"), rows)] if rows else []


def _sources(told: Told) -> str:
    recorder = told["readings"]["recorder"]
    readings = f" Readings: the flight recorder {_text(recorder)}." if recorder else ""
    return f"Made {_at(told['now'])} UTC by migration-guard. Decisions: the audit trail in the database.{readings}"
