"""The picture of `watch`: what is known of each database as lines that fit a terminal. Pure: no clock, no terminal.

How something stands is a word and comes first, so that a narrow terminal cuts reasons and never a state; colour only
repeats the word.
"""

from __future__ import annotations

import datetime as dt
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.text import Text

from guard.cli.explaining import effect_words, named, order_words, reported_ago, troubles, ways
from guard.cli.plain import plain
from guard.cli.seen import RunSeen, View
from guard.cli.watched import GUARD_WORDS, Watched, state_of, verdicts_of
from guard.cli.words import ago
from guard.judge.quantities import say, say_seconds
from guard.judge.sparkline import line as sparkline
from guard.model import Dimension

_STYLES: Final = {
    "LIVE": "green",
    "DORMANT": "cyan",
    "OBSERVES": "cyan",
    "RUNNING": "green",
    "STRAINED": "yellow",
    "WAITING": "cyan",
    "PAUSED": "bold yellow",
    "SOAKING": "cyan",
    "ENDED": "dim",
}
_GRAVE: Final = "bold red"
_LEVELS: Final = {"fine": "green", "warn": "yellow", "pause": "bold yellow", "unknown": "bold magenta"}
_STATE: Final = 13
"""Columns for the longest of the words for a state, and a space."""
_CURVE: Final = 12
_EVENTS: Final = 4
"""Lines for what has happened, at least, where anything has."""

Detail = int
"""0: everything; 1: of the rules those that are not well; 2: no more than each state and its reason."""
MOST, LEAST = 0, 2


def picture(databases: Sequence[Watched], clock: float, width: int, height: int) -> list[Text]:
    """The lines to be shown on a terminal of this size: as much as fits, the states of all before details of one."""
    several = len(databases) > 1
    for detail in range(MOST, LEAST + 1):
        lines = _blocks(databases, clock, width, detail)
        if len(lines) + _EVENTS <= height:
            break
    lines = [_fitted(line, width) for line in lines]
    if len(lines) > height:
        more = len(lines) - height + 1
        return [*lines[: height - 1], _fitted(Text(f"… {more} more lines: watch one --database or one NAME"), width)]
    room = height - len(lines)
    return lines + [_fitted(line, width) for line in _events(databases, room, several=several)]


def _blocks(databases: Sequence[Watched], clock: float, width: int, detail: Detail) -> list[Text]:
    if detail == LEAST:  # of what does not fit it is the calm that is left out
        return [line for each in sorted(databases, key=_calm) for line in _database(each, clock, width, detail)]
    return [line for each in databases for line in (Text(), *_database(each, clock, width, detail))][1:]


def _calm(watched: Watched) -> int:
    """0 where somebody should look, 1 where a migration runs, 2 where none does."""
    found = watched.view
    if found is None or watched.trouble or not found.guard.works:
        return 0
    states = {state_of(found, run)[0] for run in found.runs}
    return 2 if not states else int(states == {"RUNNING"})


def shown(text: str) -> str:
    """Others' words as one line that does nothing to a terminal."""
    # Of the plain colours of our own, which plain() lets pass, none is in what comes out of a database.
    return plain(" ".join(text.split())).replace("\x1b", "?")


def _fitted(line: Text, width: int) -> Text:
    line.truncate(width, overflow="ellipsis")
    return line


def _style(state: str) -> str:
    return _STYLES.get(state, _GRAVE)


def clock_time(wall: float) -> str:
    """The time of day in UTC."""
    return dt.datetime.fromtimestamp(wall, dt.UTC).strftime("%H:%M:%S")


# -- one database ------------------------------------------------------------------------------------------------------


def _database(watched: Watched, clock: float, width: int, detail: Detail) -> Iterator[Text]:
    yield _head(watched, clock)
    if watched.trouble:
        yield from _folded("why", watched.trouble, width, 3)
    found = watched.view
    if found is None:
        return
    now = watched.now(clock)
    if watched.trouble:
        yield Text(f"  as it was at {clock_time(found.guard.now_wall)} UTC:", "dim")
    for words in troubles(found):
        yield Text.assemble((f"  {'TROUBLE':<{_STATE}}", _GRAVE), shown(words))
    for order in found.orders:
        yield Text.assemble((f"  {'ORDERED':<{_STATE}}", "bold"), shown(order_words(order, now)))
    others = found.others(watched.only)
    for run in found.runs:
        yield from _run(watched, (found, run), now, (width, detail))
    for reported in others:
        yield from _other(found, reported, now, width)
    if detail < LEAST and not found.runs and not others:
        yield Text(f"  {'No run' if watched.only else 'No migration is running'}{_of(watched.only)}.", "dim")
    if detail < LEAST:
        yield from _rules(watched, found, detail)


def _of(name: str | None) -> str:
    return f" of {shown(name)} goes on" if name else ""


def _head(watched: Watched, clock: float) -> Text:
    name = Text(shown(watched.name) + "  ", "bold")
    if watched.silent_since is not None:
        lasts = say_seconds(round(clock - watched.silent_since))
        return name.append("NOT REACHED", _GRAVE).append(f"  for {lasts}; it is tried again", "not bold")
    if watched.view is None:
        return name.append("asking", "dim")
    guard, now = watched.view.guard, watched.now(clock)
    word = GUARD_WORDS[guard.state]
    name.append(word, _style(word)).append("  ", "not bold")
    words = guard.words
    if guard.state == "live":
        beat = say_seconds(max(0.0, guard.beat_age or 0.0))
        words = f"{guard.guard_id}, last beat {beat} ago, term {guard.term}, epoch {guard.epoch}"
    elif guard.state in {"dead", "released"} and guard.beat_age is not None:
        words = words.removeprefix(f"guard {guard.guard_id} is DEAD: ")
        words = f"{guard.guard_id}, since {clock_time(guard.now_wall - guard.beat_age)} UTC: {words}"
    return name.append(shown(words), "not bold").append(f", {clock_time(now)} UTC", "dim not bold")


# -- one run -----------------------------------------------------------------------------------------------------------


def _run(watched: Watched, what: tuple[View, RunSeen], now: float, shape: tuple[int, Detail]) -> Iterator[Text]:
    (found, run), (width, detail) = what, shape
    reported = found.reported(run)
    state, remark = state_of(found, run)
    remark = f", {remark}" if remark else ""
    effect = effect_words(reported) if state == "PAUSED" and run.source == "guard" else ""
    about = f" (run {run.run_id}){remark}, {_lasts(run, reported, now)}{effect}"
    yield _stated(state, run.migration, about)
    if state not in {"RUNNING", "ENDED"} and run.because:
        yield from _reason("why", run.because, width, detail)
    if detail == LEAST:
        return
    if busy := (found.guard.report or {}).get("in_flight", {}).get(str(run.run_id)):
        yield _about("at work", str(busy))
    yield _progress(watched, run, now)
    if state in {"PAUSED", "WAITING"}:
        for verdict in reported.get("verdicts", ()):
            if verdict.get("resume"):
                yield from _reason("goes on", f"when {verdict['resume']}", width, detail)
    for words in ways(found, run):
        yield from _way(shown(words), width)


def _way(words: str, width: int) -> list[Text]:
    """A command and what it is for; on one line, if need be without the latter, else folded: half of it is none."""
    bare = words[words.index("migration-guard ") :]
    fits = next((each for each in (words, bare) if len(each) + 4 <= width), words)
    lines = textwrap.wrap(fits, width, initial_indent=" " * 4, subsequent_indent=" " * 6)
    return [Text(line, "dim") for line in lines]


def _lasts(run: RunSeen, reported: Mapping[str, Any], now: float) -> str:
    """Since when it is so, as far as the guard has said; else how long ago it began."""
    if run.source != "guard" or "since" not in reported:
        return f"began {ago(run.registered_wall, now)} ago (at {clock_time(run.registered_wall)})"
    since = float(reported["since"])
    return f"for {ago(since, now)} (since {clock_time(since)})"


def _stated(state: str, name: str, about: str) -> Text:
    return Text.assemble((f"  {state:<{_STATE}}", _style(state)), (shown(name), "bold"), about)


def _about(what: str, words: str) -> Text:
    return Text.assemble((f"    {what:<{_STATE - 2}}", "dim"), shown(words))


def _reason(what: str, words: str, width: int, detail: Detail) -> list[Text]:
    """A reason, on two lines where there is room for all of it."""
    return _folded(what, words, width, 2 if detail == MOST else 1)


def _folded(what: str, words: str, width: int, most: int) -> list[Text]:
    """Words on so many lines, where they fit on these; else on one, which is cut."""
    lines = textwrap.wrap(shown(words), max(20, width - _STATE - 2))
    if not 1 < len(lines) <= most:
        return [_about(what, words)]
    return [_about("" if number else what, line) for number, line in enumerate(lines)]


def _progress(watched: Watched, run: RunSeen, now: float) -> Text:
    speeds = list(watched.speeds.get(run.run_id, ()))
    text = f"{run.rows_done:,} in {run.batches_done:,} batches"
    if speeds:
        text += f", {say(sum(speeds[-5:]) / len(speeds[-5:]), Dimension.COUNT)}/s {sparkline(speeds, _CURVE)}"
    note = f", {run.note}" if run.note else ""
    return _about("rows", f"{text}, last seen {ago(run.last_seen_wall, now)} ago{note}")


def _other(found: View, reported: Mapping[str, Any], now: float, width: int) -> Iterator[Text]:
    # By the guard's word alone: where there is no guard any more, it says what was.
    state = "WAS " * (not found.guard.works) + str(reported.get("phase", "")).upper()
    lasts = ago(reported.get("since"), now)
    yield _stated(state, named(reported), f", for {lasts}" if lasts else "")
    if reported.get("because"):
        yield from _reason("why", str(reported["because"]), width, MOST)


# -- rules and events --------------------------------------------------------------------------------------------------


def _rules(watched: Watched, found: View, detail: Detail) -> Iterator[Text]:
    verdicts = verdicts_of(found)
    chosen = [each for each in verdicts if detail == MOST or each.get("level") != "fine" or not each.get("well")]
    if not chosen:
        return
    fine = len(verdicts) - len(chosen)
    rest = f"; {fine} more that {'is' if fine == 1 else 'are'} fine" if fine else ""
    yield Text(f"  rules, {reported_ago(found)}{rest}", "dim")
    wide = min(20, max(len(shown(str(each.get("rule")))) for each in chosen))
    for verdict in chosen:
        yield _rule(watched, found, verdict, wide)


def _rule(watched: Watched, found: View, verdict: Mapping[str, Any], wide: int) -> Text:
    rule, level = str(verdict.get("rule")), str(verdict.get("level"))
    report = found.guard.report or {}
    name = Text(shown(rule))
    name.truncate(wide, overflow="ellipsis", pad=True)
    word = level if level != "fine" or verdict.get("well") else "not well"
    line = Text.assemble((f"  {word:<9}", _LEVELS.get(level, _GRAVE)), name, "  ")
    reading = report.get("readings", {}).get(rule)
    if level == "unknown" or reading is None:
        return line.append(shown(str(verdict.get("because"))))
    value = say(float(reading["value"]), Dimension(reading["unit"]))
    curve = sparkline(list(watched.curves.get(rule, ())), _CURVE)
    limits = shown(str(report.get("limits", {}).get(rule, "")))
    return line.append(f"{value:>9}  ").append(f"{curve:<{_CURVE}}", "dim").append(f"  {limits}")


def _events(databases: Sequence[Watched], room: int, *, several: bool) -> list[Text]:
    everything = sorted(
        ((event.at, each.name, event) for each in databases for event in each.events), key=lambda found: found[0]
    )
    if not everything or room < 3:
        return []
    lines = [Text(), Text("what happened (UTC)", "dim")]
    for at, name, event in everything[-(room - 2) :]:
        where = f"{shown(name)}  " if several else ""
        lines.append(Text.assemble((f"{clock_time(at)}  ", "dim"), (where, "dim"), shown(event.words)))
    return lines
