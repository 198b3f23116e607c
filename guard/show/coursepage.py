"""The course of one run as a part of its page: drawings, and the same in words. From values to HTML, no more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import htpy as h

from guard.judge.quantities import say_seconds
from guard.show import figures
from guard.show.elements import at
from guard.show.frame import lasted, named
from guard.show.timeline import Timeline

MOST_LINES = 100
"""Of what happened, the newest."""
_KEY = {
    "waiting": "waiting",
    "running": "running",
    "paused": "paused",
    "stopped": "aborted or rolled back",
    "soaking": "watched afterwards",
    "unknown": "not known",
}


@dataclass(frozen=True, slots=True)
class Course:
    """What the flight recorder has of a run, or why it has nothing."""

    timeline: Timeline | None = None
    missing: str = ""
    drawn: float | None = None
    """The run has lasted longer, and so many seconds of it are shown; None: all of it is."""


def part(course: Course, run_id: int | None) -> str:
    """The content of the part `course`."""
    return str(h.fragment[_course(course, run_id)])


def _course(course: Course, run_id: int | None) -> h.Node:
    timeline = course.timeline
    if timeline is None or not timeline.bands:
        return h.p[course.missing or "Nothing of it is recorded yet: the flight recorder writes each ten seconds."]
    whole = f"migration-guard report {run_id} --html FILE"
    return [
        h.p(class_="soft")["By the flight recorder, ", _reach(timeline)],
        h.p(class_="soft")[f"The last {say_seconds(course.drawn)} of it; the whole: ", h.code[whole]]
        if course.drawn is not None
        else None,
        figures.course(timeline),
        h.ul(class_="key")[(h.li(class_=kind)[words] for kind, words in _KEY.items())],
        figures.speed(timeline),
        (figures.signal(each, timeline, f"s{n}") for n, each in enumerate(timeline.signals) if each.points),
        _happened(timeline),
    ]


def _reach(timeline: Timeline) -> h.Node:
    if timeline.recorded is None or timeline.until - timeline.recorded < 1:
        return ["up to ", at(timeline.until), "."]
    return ["whose last readings are of ", at(timeline.recorded), "; drawn until ", at(timeline.until), "."]


def _happened(timeline: Timeline) -> h.Node:
    # Of what happened at one moment the later is told first too.
    found = sorted(_lines(timeline), key=lambda line: line[0])[::-1]
    shown = found[:MOST_LINES]
    more = f"The newest {MOST_LINES} of {len(found)}." if len(found) > MOST_LINES else ""
    return [
        h.h3(id="h-happened")["What happened"],
        h.p[more] if more else None,
        h.div(class_="scroll", tabindex="0", role="region", aria_labelledby="h-happened")[
            h.table[
                h.thead[h.tr[(h.th(scope="col")[head] for head in ("At", "What", "Because"))]],
                h.tbody[
                    (
                        h.tr(data_kind=kind)[h.td[at(wall)], h.td[what], h.td[because]]
                        for wall, kind, what, because in shown
                    )
                ],
            ]
        ],
    ]


def _lines(timeline: Timeline) -> Iterable[tuple[float, str, str, str]]:
    """Moment, kind, what, and why."""
    for band in timeline.bands:
        held = f"; it held after {say_seconds(round(band.effective_after, 2))}" if band.effective_after else ""
        so_far = " so far" if band.until is None else ""
        yield band.since, band.kind, f"{named(band)} for {lasted(band, timeline)}{so_far}{held}", band.because
    for mark in timeline.marks:
        yield mark.wall, mark.kind, mark.kind.replace("_", " "), mark.words
