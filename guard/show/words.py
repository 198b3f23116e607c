"""Words, signs and tones for what is seen; the same on every page. Pure.

A state is never told by its colour alone: each has a sign and a word too.
"""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guard.decide.notices import commands_for
from guard.judge.quantities import say_seconds
from guard.model import EVERYONE, Phase
from guard.show.sight import Seen, Standing

SILENT_FOR = 3.0
"""Seconds without a judgement, beyond the lease's third, that are worth saying."""


@dataclass(frozen=True, slots=True)
class Badge:
    """A state as it is shown."""

    word: str
    tone: str
    """good, info, warn, hold or bad: a class of the style sheet."""
    sign: str


_PHASES: dict[str, Badge] = {
    "waiting": Badge("waiting for a fair start", "info", "…"),
    "running": Badge("running", "good", "▶"),
    "strained": Badge("running, with a warning", "warn", "▲"),
    "paused": Badge("paused", "hold", "‖"),
    "rolling back": Badge("being rolled back", "bad", "↺"),
    "aborted": Badge("aborted", "bad", "■"),
    "soaking": Badge("ended, its rules still apply", "info", "◔"),
    "done": Badge("ended", "info", "✓"),
}
_LEVELS: dict[str, Badge] = {
    "fine": Badge("fine", "good", "✓"),
    "warn": Badge("warning", "warn", "▲"),
    "pause": Badge("pause", "hold", "‖"),
    "cancel": Badge("cancel", "bad", "✕"),
    "rollback": Badge("rollback", "bad", "↺"),
    "unknown": Badge("unknown", "warn", "?"),
}


def of_phase(phase: str, *, observing: bool = False) -> Badge:
    """The badge of a run's phase; of a guard that only observes, as what would be."""
    known = _PHASES.get(phase, Badge(phase, "info", "·"))
    return Badge(f"would be: {known.word}", known.tone, known.sign) if observing and phase != "running" else known


def of_level(level: str) -> Badge:
    """The badge of a verdict."""
    return _LEVELS.get(level, Badge(level, "info", "·"))


def of_database(seen: Seen) -> Badge:
    """How one database is guarded."""
    if seen.ended_because:
        return Badge("NOT GUARDED", "bad", "■")
    if seen.trouble or not seen.leading:
        return Badge("cannot signal", "bad", "✕")
    if not_judged(seen):
        return Badge("does not judge", "bad", "✕")
    if seen.mode == "observing":
        return Badge("observing: it orders nothing", "info", "◎")
    if seen.mode == "dormant":
        return Badge("guarded, no migration runs", "good", "✓")
    return Badge("guarded", "good", "✓")


def not_judged(seen: Seen) -> bool:
    """Whether the guard has not judged for so long that a migration may notice."""
    return seen.judged_age > max(SILENT_FOR, seen.lease)


def worst_of(seen: Seen) -> str:
    """The gravest tone of a database and its runs."""
    observing = seen.mode == "observing"
    tones = [of_database(seen).tone]
    tones += [of_phase(str(run.get("phase", "")), observing=observing).tone for run in seen.report.get("runs", ())]
    return max(tones, key=_GRAVITY.index)


def gravest_first(runs: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Runs in the order in which people look for them."""
    return sorted(runs, key=lambda run: -_URGENCY.index(of_phase(str(run.get("phase"))).tone))


_GRAVITY = ("good", "info", "warn", "hold", "bad")
_URGENCY = ("info", "good", "warn", "hold", "bad")
"""Of runs: one that goes on comes before one that has ended."""


def troubles_of(seen: Seen) -> list[str]:
    """What does not work of the guard of a database, a sentence each."""
    said = []
    if seen.ended_because:
        said.append(f"{seen.ended_because}. Migrations hold by themselves; start the guard again.")
    if seen.trouble:
        said.append(f"It cannot signal: {seen.trouble}. Migrations hold when the lease ends.")
    if not_judged(seen) and not seen.ended_because:
        said.append(f"It has not judged for {say_seconds(round(seen.judged_age, 1))}.")
    if blind := seen.report.get("cannot_see"):
        said.append(f"It cannot see who migrates: {blind}.")
    return said


def name_of(run: Mapping[str, Any]) -> str:
    """The migration as people know it."""
    return "an unregistered migration" if run.get("migration") == EVERYONE else str(run.get("migration"))


def orders_on(migration: str, orders: Iterable[Standing], kind: str) -> list[Standing]:
    """The orders of a kind that concern a migration."""
    return [order for order in orders if order.kind == kind and order.migration in {EVERYONE, migration}]


def uneasy_first(verdicts: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Verdicts in the order in which people look for them: what holds a migration, what takes its time, the rest."""
    return sorted(verdicts, key=lambda v: (v.get("level") == "fine", bool(v.get("well"))))


def next_step(run: Mapping[str, Any], seen: Seen) -> str:
    """What happens by itself, and when."""
    migration, phase = str(run.get("migration")), str(run.get("phase"))
    if phase == "paused" and (given := orders_on(migration, seen.orders, "pause")):
        return f"It stays paused {' and '.join(_until(order) for order in given)}, whatever the rules say."
    if phase == "paused" and run.get("stays"):
        return f"It stays paused until a person resumes it, since it was {run['stays']}."
    if phase in {"paused", "waiting"}:
        ways = list(dict.fromkeys(str(v["resume"]) for v in uneasy_first(run.get("verdicts", ())) if v.get("resume")))
        when = f": {'; '.join(ways)}" if ways else ""
        verb = "goes on" if phase == "paused" else "begins"
        return f"It {verb} by itself once every rule has been well for its time{when}."
    return _NEXT.get(phase, "")


_NEXT = {
    "strained": "It goes on; a rule that gets worse pauses it.",
    "rolling back": "Its sessions are ended, the signal is read again, and if it is as bad as before its hook runs.",
    "aborted": "Nothing of this name may run until a person forgets it. Look first at what it has done.",
    "soaking": "A breach before the soak is over is told, with what can be done.",
}


def _until(order: Standing) -> str:
    if order.until_wall is None:
        return f"until {order.owner} takes it back"
    return f"until {clock(order.until_wall)} ({order.owner})"


def commands(run: Mapping[str, Any], seen: Seen, *, several: bool) -> tuple[str, ...]:
    """The exact commands that change what happens next; *several*: the file has more than one database."""
    migration, phase = str(run.get("migration")), str(run.get("phase"))
    name = shlex.quote(migration)
    found: list[str] = []
    if phase == "paused":
        targets = [order.migration for order in orders_on(migration, seen.orders, "pause")]
        targets += [migration] if run.get("stays") else []
        found += [f"migration-guard resume {shlex.quote(target)}" for target in dict.fromkeys(targets)]
    if phase in {each.value for each in Phase}:
        found += commands_for(Phase(phase), migration)
    if phase in {"running", "strained"} and migration != EVERYONE:
        found.append(f"migration-guard pause {name} --reason WHY")
    where = f" --database {shlex.quote(seen.database)}" if several else ""
    return tuple(command + where for command in found)


def order_words(order: Standing) -> str:
    """One standing order, as a sentence."""
    rule = f' of rule "{order.rule}"' if order.rule else ""
    whom = "every migration" if order.migration == EVERYONE else order.migration
    reason = f": {order.reason}" if order.reason else ""
    until = f", until {clock(order.until_wall)}" if order.until_wall is not None else ""
    return f"{order.kind}{rule} for {whom} by {order.owner}{reason}{until}"


def summary(seen: Sequence[Seen]) -> str:
    """The whole in a sentence or two; it changes when a state does, and not with each number."""
    databases = [of_database(each) for each in seen]
    bad = [each.database for each, badge in zip(seen, databases, strict=True) if badge.tone == "bad"]
    many = f"{len(seen)} {'database' if len(seen) == 1 else 'databases'}"
    said = [f"{many}, all watched." if not bad else f"{many}; not guarded as it must be: {', '.join(bad[:5])}."]
    counts: dict[str, int] = {}
    for each in seen:
        for run in each.report.get("runs", ()):
            word = of_phase(str(run.get("phase")), observing=each.mode == "observing").word
            counts[word] = counts.get(word, 0) + 1
    total = sum(counts.values())
    if not total:
        return f"{said[0]} No migration runs."
    parts = ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
    return f"{said[0]} {total} {'migration' if total == 1 else 'migrations'}: {parts}."


def clock(wall: float) -> str:
    """A Unix time for people."""
    return _utc(wall).strftime("%Y-%m-%d %H:%M:%S UTC")


def machine_time(wall: float) -> str:
    """A Unix time for the `datetime` of an element."""
    return _utc(wall).strftime("%Y-%m-%dT%H:%M:%SZ")


def _utc(wall: float) -> dt.datetime:
    # What a server's clock says may be any number.
    return dt.datetime.fromtimestamp(min(max(wall, 0.0), 253_402_300_799.0), dt.UTC)
