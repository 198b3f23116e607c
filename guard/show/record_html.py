"""The record of a run as one HTML file that needs nothing else: no script, no network, and its style in itself.

It is made of the very document that `report --json` prints, so that its figures are the same; they stand in data-*
attributes beside the words for people. Drawings need the flight recorder; without it the course is drawn alone.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import htpy as h
from markupsafe import Markup

from guard.judge.quantities import say, say_seconds
from guard.model import Dimension
from guard.show import figures
from guard.show.axes import clock
from guard.show.record_style import STYLE
from guard.show.timeline import STAGES, Timeline

Told = Mapping[str, Any]
"""What `report --json` prints."""
MARKER: Final = "migration-guard-report"
"""How the mark begins by which a file is known as the report of its run."""
_MOST_ROWS: Final = 1000
_GOOD, _BAD = {"done"}, {"failed", "aborted", "gone"}


def page(told: Told, facts: Sequence[tuple[str, str]], timeline: Timeline) -> str:
    """The whole file. *facts* are what `report` says in words, by head; *timeline* may be of the audit trail alone."""
    run = told["run"]
    named = f"{run['migration']} (run {run['run_id']})"
    policy = f"default-src 'none'; style-src 'sha256-{_digest(STYLE)}'"
    document = h.html(lang="en")[
        h.head[
            h.meta(charset="utf-8"),
            h.meta({"http-equiv": "Content-Security-Policy", "content": policy}),
            h.meta(name="viewport", content="width=device-width, initial-scale=1"),
            h.meta(name="generator", content=mark_of(told)),
            h.title[f"Report of {named} in {told['database']}"],
            h.style[Markup(STYLE)],  # noqa: S704 -- our own constant
        ],
        h.body[
            h.main[
                _head(told),
                _course(timeline, told),
                _readings(told),
                _phases(told, timeline),
                _orders(told),
                _checks(told),
                h.h2["Facts"],
                h.dl[((h.dt[head], h.dd[words]) for head, words in facts)],
                _trail(told),
                _sources(told),
            ]
        ],
    ]
    return f"{document}\n"


def mark_of(told: Told) -> str:
    """By which the report of a run is known again, whatever else stands in it; harmless in any markup.

    The name of the database is not in it: it depends on how one has asked.
    """
    run = told["run"]
    return f"{MARKER}:{quote(run['migration'], safe='')}/{run['run_id']}/{int(run['registered_wall'])}"


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def outcome_of(told: Told) -> str:
    """`done`, `failed`, ..., `still running`, or `gone` where nobody wrote an end."""
    run = told["run"]
    return str(run["outcome"] or ("still running" if run["here"] else "gone"))


def summary_of(told: Told) -> str:
    """In one sentence: how it ended, how long it took, how often it was paused and for how long."""
    run, pauses = told["run"], told["pauses"]
    ended = run["ended_wall"] if run["ended_wall"] is not None else run["last_seen_wall"]
    took = say_seconds(max(0.0, round(ended - run["registered_wall"], 1)))
    words = {"done": "It ended well", "still running": "It is still running", "gone": "It vanished without a word",
             "aborted": "It was aborted", "failed": "It failed"}  # fmt: skip
    outcome = outcome_of(told)
    count = len(pauses)
    held = "was never paused by the guard's rules"
    if count:
        times = {1: "once", 2: "twice"}.get(count, f"{count} times")
        was = "would have been" if run["observed"] else "was"
        held = f"{was} paused {times} by the guard's rules, {say_seconds(round(told['paused_seconds'], 1))} in all"
    if run["observed"]:
        held += " (observe mode: nothing was ordered)"
    rolled = f" Its rollback: {run['rollback_outcome'] or 'its end is unknown'}." if run["rollback_claimed"] else ""
    return f"{words.get(outcome, f'It ended as {outcome}')} after {took}, and {held}.{rolled}"


# -- sections ----------------------------------------------------------------------------------------------------------


def _at(wall: float | None) -> str:
    return "" if wall is None else clock(wall, "%Y-%m-%d %H:%M:%S")


def _head(told: Told) -> h.Node:
    run, outcome = told["run"], outcome_of(told)
    kind = ".good" if outcome in _GOOD else ".bad" if outcome in _BAD else ""
    paused = {"data-pauses": str(len(told["pauses"])), "data-paused-seconds": str(told["paused_seconds"])}
    reasons = [each["because"] for each in told["pauses"] if each["because"]]
    done = {"data-rows": str(run["rows_done"]), "data-batches": str(run["batches_done"]), "data-outcome": outcome}
    return h.header({**paused, **done})[
        h.h1[run["migration"]],
        h.p(".soft")[f"run {run['run_id']} in database {told['database']}, began {_at(run['registered_wall'])} UTC"],
        h.p[h.span(f".outcome{kind}")[outcome]],
        h.p(".lead")[summary_of(told)],
        h.p[f"First pause: {reasons[0]}"] if reasons else None,
        h.p[f"Last word: {told['phases'][-1]['because']}"] if outcome in _BAD and told["phases"] else None,
    ]


def _course(timeline: Timeline, told: Told) -> h.Node:
    grave = [signal for signal in timeline.signals if signal.past]
    calm = [signal for signal in timeline.signals if not signal.past and signal.points]
    numbered = {signal.sensor: number for number, signal in enumerate(timeline.signals)}
    kinds = ("waiting", "running", "paused", "stopped", "soaking", "ordered", "unknown")
    words = {
        "unknown": "not known",
        "stopped": "aborted or rolled back",
        "ordered": "ordered by an operator",
        "soaking": "watched afterwards",
    }
    missing = told["readings"]["missing"]
    return h.section(id="timeline")[
        h.h2["Timeline (UTC)"],
        figures.course(timeline),
        h.ul(".key")[(h.li(f".{kind}")[words.get(kind, kind)] for kind in kinds)],
        (figures.signal(each, timeline, f"s{numbered[each.sensor]}") for each in grave),
        figures.speed(timeline),
        h.details[
            h.summary[f"{len(calm)} signal{'s' if len(calm) > 1 else ''} within limits, or without one"],
            (figures.signal(each, timeline, f"s{numbered[each.sensor]}") for each in calm),
        ]
        if calm
        else None,
        h.p(".soft")[f"No readings: {missing}"] if missing else None,
    ]


def _readings(told: Told) -> h.Node:
    signals = told["readings"]["signals"]
    if not signals:
        return None
    heads = ("signal", "baseline", *STAGES, "limits")
    return h.section(id="readings")[
        h.h2["Readings before, during and after"],
        _table(heads, (_signal_row(each) for each in signals)),
        h.p(".soft")[
            "Median, worst (number of readings). Before: until the guard let it go on first. "
            "While nobody migrates little is recorded, so that the baseline rests on more."
        ],
    ]


def _signal_row(signal: Told) -> h.Node:
    unit, stages = Dimension(signal["unit"]), {each["stage"]: each for each in signal["stages"]}
    data = {"data-signal": signal["sensor"], "data-readings": str(signal["readings"])}
    for name, stage in stages.items():
        data |= {f"data-{name}-{key}": str(stage[key]) for key in ("count", "median", "worst")}
    if signal["worst"] is not None:
        data["data-worst"] = str(signal["worst"]["value"])
    silent = f" {signal['silences']} times without a value" if signal["silences"] else ""
    return h.tr(data)[
        h.td[h.strong[", ".join(signal["rules"]) or signal["sensor"]], h.br, h.span(".soft")[signal["metric"], silent]],
        h.td(".n", data_head="baseline")["" if signal["baseline"] is None else say(signal["baseline"], unit)],
        (h.td(".n", data_head=name)[stage_words(stages.get(name), unit)] for name in STAGES),
        h.td(".n", data_head="limits")[(h.div[words] for words in signal["limits"])],
    ]


def stage_words(stage: Told | None, unit: Dimension) -> str:
    """`1 s, 9 s (90)`: median, worst, how many; a dash where nothing was read."""
    if stage is None:
        return "–"
    median, worst = ("infinitely much" if stage[key] is None else say(stage[key], unit) for key in ("median", "worst"))
    return f"{median}, {worst} ({stage['count']})"


def _phases(told: Told, timeline: Timeline) -> h.Node:
    rows = (
        h.tr(data_phase=each["phase"], data_seconds=str(each["seconds"]))[
            h.td(".n")[_at(each["since"])],
            h.td(".n")[each["phase"]],
            h.td(".n")[say_seconds(round(each["seconds"], 1)), " so far" if each["until"] is None else ""],
            h.td(".why")[
                each["because"],
                f" (effective after {say_seconds(round(each['effective_after'], 2))})"
                if each["effective_after"]
                else "",
            ],
        ]
        for each in told["phases"][-_MOST_ROWS:]
    )
    more = len(told["phases"]) - _MOST_ROWS
    return h.section(id="decisions")[
        h.h2["Decisions"],
        h.p[f"The newest {_MOST_ROWS}; {more} before them are in `report --json`."] if more > 0 else None,
        _table(("at (UTC)", "phase", "for", "because"), rows)
        if told["phases"]
        else h.p["No guard has written anything of it, or that was pruned since."],
        (h.p[h.strong["Cancelled "], f"{_at(each['at'])}: {each['because']}"] for each in told["cancels"]),
        (h.p[f"{_at(mark.wall)}: {mark.words}"] for mark in timeline.marks if mark.kind != "cancelled"),
    ]


def _orders(told: Told) -> h.Node:
    run = told["run"]
    rows = (
        h.tr[
            h.td(".n")[_at(each["since"])],
            h.td[each["owner"]],
            h.td[each["kind"]],
            h.td(".n")[say_seconds(round(each["seconds"], 1)), " so far" if each["until"] is None else ""],
            h.td(".why")[each["reason"]],
        ]
        for each in told["orders"]
    )
    return h.section(id="people")[
        h.h2["Who did what"],
        h.p[f"{run['usename']} ran it (pid {run['pid']}, {run['application_name'] or 'no application_name'})."],
        _table(("at (UTC)", "who", "ordered", "for", "reason"), rows)
        if told["orders"]
        else h.p["No operator gave an order that bore on it."],
    ]


def _checks(told: Told) -> h.Node:
    if not told["checks_before"] and not told["checks_after"]:
        return None
    words = {True: "holds", False: "FAILS"}
    rows = (
        h.tr[
            h.td[when],
            h.td[each["check"]],
            h.td[words.get(each["holds"], "UNKNOWN")],
            h.td(".why")[
                each["said"], (h.br, "; ".join(map(str, each["offending"]))) if each.get("offending") else None
            ],
        ]
        for when in ("before", "after")
        for each in told[f"checks_{when}"]
    )
    return h.section(id="verification")[h.h2["Verification"], _table(("when", "check", "result", "answer"), rows)]


def _trail(told: Told) -> h.Node:
    events = told["events"][-_MOST_ROWS:]
    rows = (
        h.tr[h.td(".n")[_at(each["at"])], h.td[each["kind"]], h.td[each["phase"]], h.td(".why")[each["because"]]]
        for each in events
    )
    if not events:
        return None
    return h.details[
        h.summary[f"The audit trail ({len(events)} entries)"], _table(("at (UTC)", "event", "phase", "because"), rows)
    ]


def _sources(told: Told) -> h.Node:
    readings = told["readings"]
    lost = f" {say_seconds(round(readings['lost_seconds'], 1))} of them are lost." if readings["lost_seconds"] else ""
    recorder = f" Readings: the flight recorder {readings['recorder']}.{lost}" if not readings["missing"] else ""
    return h.footer(".soft")[
        h.p[
            f"Made {_at(told['now'])} UTC by migration-guard. "
            f"Decisions: the audit trail in the database, by the server's clock.{recorder}"
        ]
    ]


def _table(heads: Iterable[str], rows: Iterable[h.Node]) -> h.Node:
    # Reachable by keyboard, since it may have to be scrolled where it is narrow.
    return h.div(".scroll", tabindex="0", role="group", aria_label="table")[
        h.table[h.thead[h.tr[(h.th(scope="col")[head] for head in heads)]], h.tbody[rows]]
    ]
