"""The first page: every database and open run at a glance, and the runs of late. From values to HTML, no more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import htpy as h

from guard.judge.quantities import say_seconds
from guard.show import words
from guard.show.elements import Now, at, badge, commands, fact, lines, since, verdicts
from guard.show.past import Past, Recent
from guard.show.sight import Channel, Progress, Seen

UNREGISTERED = "unregistered"
"""Stands for the id of a run that nobody has registered."""


@dataclass(frozen=True, slots=True)
class Glance:
    """Everything that the first page shows, at one moment."""

    seen: Sequence[Seen]
    channels: Sequence[Channel]
    recent: Recent


def parts(glance: Glance, now: Now) -> dict[str, str]:
    """The content of each part of the page by the id of its container, in order."""
    found = {"summary": h.p[words.summary(glance.seen)], "troubles": _troubles(glance)}
    several = len(glance.seen) > 1
    for each in glance.seen:
        found[part_of(each.database)] = _database(each, now, several=several)
    found["recent"] = _recent(glance)
    return {name: str(h.fragment[content]) for name, content in found.items()}


def part_of(database: str) -> str:
    """The id of the container of a database."""
    return f"db-{database}"


def heading_of(database: str) -> str:
    """The id of its heading."""
    return f"h-{part_of(database)}"


def address_of(database: str, run_id: int | None) -> str:
    """Where a run is shown."""
    return f"/run/{quote(database, safe='')}/{UNREGISTERED if run_id is None else run_id}"


def _troubles(glance: Glance) -> h.Node:
    troubles: dict[str, str] = {}
    for each in glance.seen:
        troubles |= {str(name): str(trouble) for name, trouble in each.report.get("troubles", {}).items()}
    late = [channel for channel in glance.channels if channel.dead]
    if not troubles and not late:
        return None
    return [
        h.h2["What does not work"],
        h.ul[
            (h.li(class_="trouble")[f"{name}: {trouble}"] for name, trouble in troubles.items()),
            (h.li(class_="trouble")[f"{each.name}: {_given_up(each.dead)}"] for each in late),
        ],
    ]


def _given_up(count: int) -> str:
    return "1 notice was given up" if count == 1 else f"{count} notices were given up"


def _database(seen: Seen, now: Now, *, several: bool) -> h.Node:
    runs = words.gravest_first(run for run in seen.report.get("runs", ()) if run.get("phase") != "done")
    resting = [rule for group in seen.report.get("rules", ()) for rule in group.get("verdicts", ())]
    heading = heading_of(seen.database)
    return [
        h.div(class_="head", data_tone=words.worst_of(seen))[
            h.h2(id=heading)[seen.database], badge(words.of_database(seen))
        ],
        lines("trouble", words.troubles_of(seen)),
        h.ul(class_="orders")[(h.li[words.order_words(order)] for order in seen.orders)] if seen.orders else None,
        [_run(run, seen, now, several=several) for run in runs],
        _at_rest(resting, seen, now) if resting else None,
    ]


def _run(run: Mapping[str, Any], seen: Seen, now: Now, *, several: bool) -> h.Element:
    run_id, phase = run.get("run_id"), str(run.get("phase"))
    because = str(run.get("because", ""))
    uneasy = [v for v in run.get("verdicts", ()) if v.get("level") != "fine" or not v.get("well")]
    uneasy = words.uneasy_first(uneasy)
    # The reason of a pause is mostly the word of one rule: said once.
    uneasy = [v for v in uneasy if phase == "running" or str(v.get("because")) not in because]
    step = words.next_step(run, seen)
    state = words.of_phase(phase, observing=seen.mode == "observing")
    return h.article(
        class_=f"run {state.tone}", data_run=f"{seen.database}/{run_id or UNREGISTERED}", data_phase=phase
    )[
        h.h3[
            h.a(id=f"run-{seen.database}-{run_id or UNREGISTERED}", href=address_of(seen.database, run_id))[
                words.name_of(run)
            ],
            h.small[f" run {run_id}"] if run_id is not None else None,
        ],
        h.p[badge(state), " ", since(run.get("since"), now), held(run)],
        h.p(class_="because")[because] if phase != "running" else None,
        h.p(class_="soft")["Now:"] if uneasy and phase == "paused" else None,
        _uneasy(uneasy) if uneasy and phase in {"running", "strained", "paused", "waiting"} else None,
        h.p(class_="next")[step] if step else None,
        _progress(seen.progress.get(run_id) if isinstance(run_id, int) else None, now),
        commands(words.commands(run, seen, several=several)) if phase != "running" else None,
    ]


def held(run: Mapping[str, Any]) -> h.Node:
    """Whether a pause holds yet."""
    if run.get("phase") != "paused":
        return None
    return h.span(class_="since")[", and it holds" if run.get("effective") else ", not seen to hold yet"]


def _uneasy(found: Iterable[Mapping[str, Any]]) -> h.Node:
    return h.ul(class_="uneasy")[
        (h.li(data_level=str(v.get("level")))[f"{v.get('rule')}: {v.get('because')}"] for v in found)
    ]


def _progress(done: Progress | None, now: Now) -> h.Node:
    if done is None:
        return None
    who = f"pid {done.pid}, {done.usename}" if done.pid is not None else "its session is gone"
    rows = f"{done.rows_done:,} rows in {done.batches_done:,} batches"
    return h.p(class_="progress")[f"{rows}; {who}; ", since(done.last_seen_wall, now, words="heard of"), " ago"]


def _at_rest(found: Sequence[Mapping[str, Any]], seen: Seen, now: Now) -> h.Node:
    uneasy = sum(v.get("level") != "fine" for v in found)
    said = f"{len(found)} rules, all fine" if not uneasy else f"{len(found)} rules, {uneasy} not fine"
    return h.details(id=f"rules-{seen.database}")[h.summary[said], verdicts(found, seen.report.get("limits", {}), now)]


def _recent(glance: Glance) -> h.Node:
    if glance.recent.runs is None:
        return h.p[f"The flight recorder: {glance.recent.missing}"]
    if not glance.recent.runs:
        return h.p["None is recorded."]
    heads = ("Migration", "Database", "Began", "Took", "State")
    # No region, as the box around it is: two of one name could not be told apart.
    return h.div(class_="scroll", tabindex="0", role="group", aria_label="Recent runs")[
        h.table[
            h.thead[h.tr[(h.th(scope="col")[head] for head in heads)]],
            h.tbody[(_past(each) for each in glance.recent.runs)],
        ]
    ]


def _past(each: Past) -> h.Element:
    name = words.name_of({"migration": each.migration}) + (f" ({each.run_id})" if each.run_id is not None else "")
    return h.tr[
        h.th(scope="row")[h.a(href=address_of(each.database, each.run_id))[name]],
        h.td[each.database],
        h.td[at(each.from_wall)],
        h.td[say_seconds(max(0.0, float(round(each.to_wall - each.from_wall))))],
        h.td[badge(words.of_phase(each.phase)), h.br, h.small[each.because]] if each.phase else h.td["not known"],
    ]


__all__ = ["UNREGISTERED", "Glance", "address_of", "fact", "held", "part_of", "parts"]
