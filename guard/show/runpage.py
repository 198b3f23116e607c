"""The page of one run: how it stands, each rule, and its course as the flight recorder has it. From values to HTML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import htpy as h

from guard.show import words
from guard.show.elements import Now, at, badge, commands, fact, lines, since, verdicts
from guard.show.overview import held
from guard.show.past import Past
from guard.show.sight import Seen


@dataclass(frozen=True, slots=True)
class RunSeen:
    """What is known of one run at one moment."""

    database: str
    run_id: int | None
    seen: Seen
    several: bool
    """Whether the file has more than one database."""
    past: Past | None = None

    @property
    def reported(self) -> Mapping[str, Any] | None:
        """What its guard says of it now; None once it was let go."""
        runs = self.seen.report.get("runs", ())
        return next((run for run in runs if run.get("run_id") == self.run_id), None)

    @property
    def title(self) -> str:
        """For people."""
        run = self.reported or ({"migration": self.past.migration} if self.past else None)
        name = words.name_of(run) if run else "a run"
        return f"{name}, run {self.run_id}" if self.run_id is not None else name


def parts(run: RunSeen, now: Now) -> dict[str, str]:
    """The content of the parts that the guard's memory fills, by the id of their container."""
    found = {"state": _state(run, now), "rules": _rules(run, now)}
    return {name: str(h.fragment[content]) for name, content in found.items()}


def _state(run: RunSeen, now: Now) -> h.Node:
    reported, seen = run.reported, run.seen
    if reported is None:
        return _over(run)
    phase = str(reported.get("phase"))
    step = words.next_step(reported, seen)
    return [
        h.p(data_phase=phase)[
            badge(words.of_phase(phase, observing=seen.mode == "observing")),
            " ",
            since(reported.get("since"), now),
            held(reported),
        ],
        lines("trouble", words.troubles_of(seen)),
        h.p(class_="because")[str(reported.get("because", ""))],
        h.p(class_="next")[step] if step else None,
        h.ul(class_="orders")[(h.li[words.order_words(each)] for each in seen.orders)] if seen.orders else None,
        _facts(run, now),
        commands(words.commands(reported, seen, several=run.several)),
    ]


def _over(run: RunSeen) -> h.Node:
    if run.past is None:
        return h.p["Nothing of it is known here any more: migration-guard report asks the guarded database itself."]
    state = badge(words.of_phase(run.past.phase)) if run.past.phase else None
    return [
        h.p(data_phase=run.past.phase)[state, " ", at(run.past.to_wall)],
        h.p(class_="because")[run.past.because],
        commands((f"migration-guard report {run.run_id}",) if run.run_id is not None else ()),
    ]


def _facts(run: RunSeen, now: Now) -> h.Node:
    done = run.seen.progress.get(run.run_id) if run.run_id is not None else None
    reported = run.reported or {}
    key = str(run.run_id)
    fence, busy = (run.seen.report.get(name, {}).get(key) for name in ("fences", "in_flight"))
    found = [fact("Database", run.database)]
    if done is not None:
        who = f"pid {done.pid} ({done.usename}, {done.application_name or 'no application_name'})"
        found += [
            fact("Began", at(done.registered_wall)),
            fact("Session", who if done.pid is not None else "gone"),
            fact("Done", f"{done.rows_done:,} rows in {done.batches_done:,} batches"),
            fact("Heard of", since(done.last_seen_wall, now, words=""), " ago"),
        ]
        found += [fact("Its own note", done.note)] if done.note else []
    found += [fact("Told to", str(reported.get("order", "")))]
    found += [fact("Not to be cancelled", str(fence))] if fence else []
    found += [fact("At work although paused", str(busy))] if busy else []
    return h.dl[found]


def _rules(run: RunSeen, now: Now) -> h.Node:
    if run.reported is None:
        return h.p["No rule is applied to it any more."]
    return verdicts(run.reported.get("verdicts", ()), run.seen.report.get("limits", {}), now)
