"""What lasts too long is told again, as a question to a human. Pure.

Nothing here stops, cancels or rolls back anything: a pause of hours, a signal that nobody sees and a pause that did not
help are for people to judge, and each is told once (a pause again after twice the time, and then as critical).
"""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Collection
from dataclasses import dataclass

from guard.decide.bounds import Bounds, resume_command
from guard.decide.notices import Draft, commands_for
from guard.judge.quantities import say_seconds
from guard.model import Ask, Finding, Level, Phase, Severity, State, Verdict

NO_HELP_AFTER = 120.0
"""Seconds of an effective pause after which a load that is as it was is not the migration's: a rate over one minute has
by then, for a minute, seen nothing but the time in which the migration did nothing."""
_OPEN = (Phase.WAITING, Phase.RUNNING, Phase.STRAINED, Phase.PAUSED)


@dataclass(frozen=True, slots=True)
class Moment:
    """When a run is looked at, by both clocks, and what holds for every run of one guard."""

    now: float
    wall: float
    bounds: Bounds
    loads: Collection[str] = ()
    """Rules whose signal shows load, and does not merely drain: it goes down with its cause and not by itself."""


def remind(state: State, finding: Finding, moment: Moment, resume: str) -> tuple[State, tuple[Draft, ...]]:
    """What is to be told of a run that gets nowhere, and the state that remembers it; `resume`: what it waits for."""
    if state.phase not in _OPEN:
        return state, ()
    drafts: list[Draft] = []
    if state.phase is Phase.PAUSED:
        told = _times_told(moment.wall - state.since_wall, moment.bounds.longest_pause)
        if told > state.reminded:
            drafts.append(_still_paused(state, moment, resume, told))
        idle = _useless(state, finding, moment)
        if idle:
            drafts.append(_no_help(state, idle, moment))
        state = dataclasses.replace(state, reminded=max(told, state.reminded), no_help=state.no_help or bool(idle))
    unseen = {v.rule: v for v in finding.verdicts if v.level is Level.UNKNOWN and not v.well and v.since is not None}
    late = {name: v for name, v in unseen.items() if moment.now - (v.since or 0.0) >= moment.bounds.longest_unknown}
    drafts += [_unseen(state, verdict, moment) for name, verdict in late.items() if name not in state.unseen]
    known = tuple(sorted(late.keys() | (set(state.unseen) & unseen.keys())))
    return dataclasses.replace(state, unseen=known), tuple(drafts)


def _times_told(lasts: float, longest: float) -> int:
    """How often it has been due by now: after the longest time, twice, four times that."""
    return 1 + int(math.log2(lasts / longest)) if lasts >= longest else 0


def _still_paused(state: State, moment: Moment, resume: str, told: int) -> Draft:
    lasts = say_seconds(round(moment.wall - state.since_wall))
    waits = f"It goes on by itself once every rule has been well for its time: {resume or 'see explain'}."
    step = f"A human must look. {'' if state.stays else waits}".strip()
    commands = ((resume_command(state),) if state.stays else ()) + commands_for(state.phase, state.migration)
    # Who stays paused until a human says otherwise was told as critical from the first.
    severity = Severity.CRITICAL if told > 1 or state.stays else Severity.WARNING
    again = say_seconds(moment.bounds.longest_pause * 2**told)
    fields = {"reminder": f"number {told}; the next one once it has lasted {again}"}
    return Draft("pause_lasts", severity, f"has been paused for {lasts}", state.because, step, commands, fields)


def _useless(state: State, finding: Finding, moment: Moment) -> list[Verdict]:
    """Loads that the pause has left as they were: breached since before it took hold, and measured so."""
    since = state.effective_since_wall
    if not state.effective or state.no_help or since is None or moment.wall - since < NO_HELP_AFTER:
        return []
    return [
        verdict
        for verdict in finding.verdicts
        if verdict.rule in moment.loads
        and verdict.measured
        and verdict.ask >= Ask.PAUSE
        and verdict.since is not None
        and moment.now - verdict.since >= moment.wall - since
    ]


def _no_help(state: State, loads: list[Verdict], moment: Moment) -> Draft:
    lasts = say_seconds(round(moment.wall - (state.effective_since_wall or moment.wall)))
    step = (
        f"The migration has done nothing for {lasts} and this is as bad as before, so its load is not the cause: look "
        "elsewhere. It stays paused. If it is what the change itself did, a rollback is a human's decision."
    )
    because = "; ".join(verdict.because for verdict in loads)
    commands = commands_for(state.phase, state.migration)
    return Draft("no_help", Severity.WARNING, "is paused, and pausing did not help", because, step, commands)


def _unseen(state: State, verdict: Verdict, moment: Moment) -> Draft:
    lasts = say_seconds(round(moment.now - (verdict.since or moment.now)))
    does = "It stays as it is" if state.phase in (Phase.WAITING, Phase.PAUSED) else "It goes on unwatched by this rule"
    name, rule = shlex.quote(state.migration), shlex.quote(verdict.rule)
    commands = (
        f"migration-guard explain {name}",
        f"migration-guard mute {rule} --migration {name} --reason WHY --for 30m",
    )
    step = f"{does} until the signal is there again; nothing is cancelled or rolled back for what nobody sees."
    headline = f"cannot be judged: {verdict.rule} has been unknown for {lasts}"
    return Draft("unknown_lasts", Severity.CRITICAL, headline, verdict.because, step, commands)
