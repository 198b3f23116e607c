"""Was it right? Each closing figure, measured from the evidence, beside what it must be. Pure.

It knows what a guard promises and nothing of how this one works.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from guard.demo.evidence import Event, Evidence

FRESH_FOR = 0.2
"""Seconds for which guard.client may use an answer again: how late after a pause a batch may begin."""

_QUERY_CANCELED = "57014"
_STOPS = frozenset({"waiting", "paused", "rolling back", "aborted"})
_TOLD = ("paused", "cancelled", "resumed", "rolled_back")


@dataclass(frozen=True, slots=True)
class Figure:
    """A line of the closing table."""

    what: str
    measured: str
    wanted: str
    ok: bool


def judge(evidence: Evidence) -> list[Figure]:
    """All figures, in the order of the story."""
    return [*_lag(evidence), *_locks(evidence), *_errors(evidence), *_batches(evidence), *_told(evidence)]


def _lag(evidence: Evidence) -> Iterable[Figure]:
    staged = evidence.staged
    paused = _first(evidence, "paused", staged.replay_stopped, lambda event: "replication.lag" in event.because)
    resumed = _first(evidence, "resumed", staged.replay_resumed if paused else None)
    yield _within("standby stops replaying → paused (limit 2 s)", staged.replay_stopped, paused, 5.0)
    yield _within("standby replays again → resumed", staged.replay_resumed, resumed, 15.0)


def _locks(evidence: Evidence) -> Iterable[Figure]:
    staged = evidence.staged
    queued = staged.most_queued
    yield Figure("requests queued behind ALTER TABLE", str(queued), "≥ 3", queued >= 3)
    yield _within("3 have waited 1 s each → queue released", staged.pile_up, staged.released, 2.0)
    refused = [entry.get("sqlstate") for entry in evidence.alter if entry["what"] == "alter refused"]
    ended = _listed("cancelled" if state == _QUERY_CANCELED else str(state) for state in refused)
    yield Figure("how the ALTER TABLE ended", ended, "cancelled", refused == [_QUERY_CANCELED])
    strangers = [ended for ended in evidence.ended_sessions if ended[0] != "migrator"]
    yield Figure("others' sessions cancelled (server's log)", str(len(strangers)), "0", not strangers)
    cancelled = [app for user, app, what in evidence.ended_sessions if user == "migrator" and "cancel" in what]
    right = cancelled == ["migration:add-note"]
    yield Figure("migrations cancelled (server's log)", _listed(cancelled), "migration:add-note", right)
    survived = staged.report_survived and staged.alter_queued is not None
    yield Figure("the report that ALTER TABLE waited for", "committed" if survived else "-", "committed", survived)


def _errors(evidence: Evidence) -> Iterable[Figure]:
    staged = evidence.staged
    began = _first(evidence, "rolling_back", staged.flag_on)
    yield _within("errors begin → rollback (limit 4 % for 2 s)", staged.flag_on, began, 8.0)
    runs = len(evidence.hook_runs)
    yield Figure("runs of the rollback hook (its own log)", str(runs), "1", runs == 1)
    yield _within("errors begin → the shop is well again", staged.flag_on, staged.shop_well, 20.0)


def _batches(evidence: Evidence) -> Iterable[Figure]:
    begun = [entry["at"] for entry in evidence.backfill if entry["what"] == "batch begins"]
    stops = _stops(evidence.events)
    wrong = sum(any(start + FRESH_FOR < at < end for start, end in stops) for at in begun)
    yield Figure("batches begun while paused", f"{wrong} of {len(begun)}", "0", wrong == 0 and bool(stops and begun))
    rows = _rows_committed(evidence)
    once, more = evidence.fills.get(1, 0), sum(count for fills, count in evidence.fills.items() if fills > 1)
    exact = rows is not None and once == rows == evidence.last_filled and rows > 0
    yield Figure("rows filled once (table, backfill's log)", f"{once:,} and {rows or 0:,}", "equal", exact)
    yield Figure("rows filled more than once", str(more), "0", more == 0)
    ends = [entry["outcome"] for entry in evidence.backfill if entry["what"] == "ended"]
    yield Figure("how the backfill ended", _listed(ends), "aborted or cut off", ends in (["aborted"], ["cut off"]))


def _rows_committed(evidence: Evidence) -> int | None:
    """What the log says was committed; a batch whose end is not told counts where the table shows it whole.

    None where the log itself is wrong: a gap, a repetition, a batch that did not touch all its rows.
    """
    rows = last = 0
    for entry in evidence.backfill:
        if entry["what"] == "batch committed":
            if entry["first"] != last + 1 or entry["rows"] != entry["last"] - last:
                return None
            rows, last = rows + entry["rows"], entry["last"]
    opened = [entry for entry in evidence.backfill if entry["what"] == "batch begins"]
    if opened and opened[-1]["last"] > last and evidence.last_filled == opened[-1]["last"]:
        rows += opened[-1]["last"] - last  # committed, and cut off before it could write so
    return rows


def _told(evidence: Evidence) -> Iterable[Figure]:
    due = [event.notice_id for event in evidence.events if event.notice_id]
    arrived = list(dict.fromkeys(evidence.slack_ids))
    ok = bool(due) and arrived == due
    yield Figure("messages in Slack, of those due, in order", f"{len(arrived)} of {len(due)}", "all", ok)
    kinds = {event.kind for event in evidence.events if event.notice_id in arrived}
    told = [kind for kind in _TOLD if kind in kinds]
    yield Figure(
        "told: " + _listed(kind.replace("_", " ") for kind in _TOLD),
        f"{len(told)} of {len(_TOLD)}",
        "all",
        len(told) == len(_TOLD),
    )


def _stops(events: Iterable[Event]) -> list[tuple[float, float]]:
    """The times in which the backfill was told to stand still; the last may be open."""
    found: list[tuple[float, float]] = []
    since: float | None = None
    for event in events:
        if event.migration == "*":
            continue
        stopped = event.phase in _STOPS
        if stopped and since is None:
            since = event.at
        elif not stopped and since is not None:
            found.append((since, event.at))
            since = None
    return found if since is None else [*found, (since, float("inf"))]


def _first(
    evidence: Evidence, kind: str, since: float | None, fits: Callable[[Event], bool] = lambda _: True
) -> float | None:
    if since is None:
        return None
    same = (e for e in evidence.events if e.kind == kind and e.migration != "*" and e.at > since and fits(e))
    return next((event.at for event in same), None)


def _within(what: str, start: float | None, end: float | None, limit: float) -> Figure:
    took = None if start is None or end is None else end - start
    measured = "-" if took is None else f"{took:.2f} s"
    return Figure(what, measured, f"≤ {limit:g} s", took is not None and took <= limit)


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words) or "-"
