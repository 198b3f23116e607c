"""Whom to tell what, and why. Pure: each change of a run becomes at most one notice, with the reason unchanged.

Only changes speak: began, ended, acted, failed, a human is needed. What merely goes on is in `status` and `explain`.
Here are the phases of a run; what was done to it is in deeds.py, what befalls the guard itself in ourselves.py. All of
them are to be had from here.
"""

from __future__ import annotations

import datetime as dt
import shlex

from guard.decide.bounds import resume_command
from guard.decide.decision import Decision
from guard.decide.deeds import (
    FORGET_FIRST,
    ask_human,
    cancel_waits,
    cancelled,
    checked,
    no_baseline,
    perhaps_cancelled,
    rollback_withheld,
    rolled_back,
)
from guard.decide.draft import Draft, address, commands_for, name_of
from guard.decide.ourselves import baseline_anew, journal_trouble, moved, reload_refused, stood_still
from guard.model import EVERYONE, Phase, Severity, State

__all__ = [
    "Draft", "address", "ask_human", "baseline_anew", "cancel_waits", "cancelled", "checked", "commands_for",
    "for_decision", "in_observe_mode", "journal_trouble", "moved", "name_of", "no_baseline", "perhaps_cancelled",
    "reload_refused", "rollback_withheld", "rolled_back", "stood_still",
]  # fmt: skip

_WORDS: dict[Phase, tuple[str, Severity, str]] = {
    Phase.PAUSED: ("paused", Severity.WARNING, "paused"),
    Phase.STRAINED: ("warned", Severity.INFO, "goes on, with a warning"),
    Phase.ROLLING_BACK: ("rolling_back", Severity.CRITICAL, "is being rolled back"),
    Phase.ABORTED: ("aborted", Severity.CRITICAL, "aborted"),
    Phase.SOAKING: ("soaking", Severity.INFO, "ended; its rules stay in force"),
    Phase.DONE: ("ended", Severity.INFO, "ended"),
}

_NEXT: dict[Phase, str] = {
    Phase.PAUSED: "It goes on by itself once every rule has been well for its time: {resume}.",
    Phase.ROLLING_BACK: "The migration is told to abort. Once its sessions are gone the signal is read again: "
    "only if it is still as bad does the rollback hook run, once.",
    Phase.ABORTED: FORGET_FIRST,
    Phase.SOAKING: "Until {soak}: a breach before that is told, with what can be done.",
}


# Not the migration's own words: they may hold rows of its tables.
_NOT_DONE = "What it gave as the reason stands in its record; the rest in its own log."
_STAYS = "A human must look: find out what brings it about, then resume it. It begins once every rule is well."
_NEVER_ASKS = (
    "It goes on, since it has not registered and cannot be told to wait. "
    "It is cancelled only where a rule says so, when others queue behind it."
)
_CLEARING = (
    "Its statement is cancelled at once, unless it is one that is left to finish; what came of that is told next."
)
_VANISHED = (
    "Nothing holds its locks any more. Its own log says why; started again it waits for the guard as each new run does."
)


_WOULD = {
    "may start": "would be let begin",
    "paused": "would be paused",
    "resumed": "would be let go on",
    "is being rolled back": "would be rolled back",
    "aborted": "would be aborted",
    "a rollback is due: a human must decide": "a rollback would be due: a human would have to decide",
}
"""Headlines of what is ordered, as those of a guard that orders nothing."""


def for_decision(decision: Decision, resume: str, *, observing: bool) -> Draft | None:
    """Draft the notice of a step, or None where nothing that people must know has changed."""
    if decision.moved_from is None:
        return None
    if decision.state.migration == EVERYONE:
        draft = _of_unregistered(decision.moved_from, decision.state, queue=bool(decision.clear_queue), resume=resume)
    else:
        draft = _of_phase(decision.moved_from, decision.state, resume)
    return in_observe_mode(draft) if observing and draft else draft


def in_observe_mode(draft: Draft) -> Draft:
    """The same notice of a guard that only looks on: what it would have done."""
    headline = _WOULD.get(draft.headline, draft.headline)
    if draft.kind == "stays_paused":
        headline = f"would have been {draft.headline.removesuffix(', and stays so')}, and would stay so"
    return Draft(
        draft.kind,
        Severity.INFO,
        f"{headline} (observe mode: nothing was ordered)",
        draft.because,
        "",
        (),
        draft.fields,
    )


def _of_unregistered(before: Phase, state: State, *, queue: bool, resume: str) -> Draft | None:
    """Of sessions that never ask, so that no order reaches them."""
    if state.phase is Phase.DONE and before is Phase.RUNNING:
        return None  # nobody was told that it began
    commands = commands_for(state.phase, state.migration)
    if state.phase is Phase.PAUSED and queue:
        return Draft("paused", Severity.WARNING, "holds up a queue", state.because, _CLEARING, commands)
    if state.phase is Phase.PAUSED:
        return Draft("paused", Severity.WARNING, "should pause, but does not ask", state.because, _NEVER_ASKS, commands)
    if before is Phase.PAUSED and state.phase is Phase.RUNNING:
        return Draft("resumed", Severity.INFO, "need not pause any more", state.because)
    return _of_phase(before, state, resume)


def _of_phase(before: Phase, state: State, resume: str) -> Draft | None:
    commands = commands_for(state.phase, state.migration)
    if state.phase is Phase.RUNNING:
        if before is Phase.STRAINED:
            return None
        kind = "started" if before is Phase.WAITING else "resumed"
        headline = "may start" if before is Phase.WAITING else "resumed"
        return Draft(kind, Severity.INFO, headline, state.because)
    if state.phase is Phase.DONE and "without saying" in state.because:
        runs = (f"migration-guard runs {shlex.quote(state.migration)}",)
        return Draft("gone", Severity.WARNING, "vanished", state.because, _VANISHED, runs)
    if state.phase is Phase.DONE and state.because == "the migration ended: failed":
        record = (f"migration-guard report {state.run_id}",)
        return Draft("ended", Severity.WARNING, "ended without being done", state.because, _NOT_DONE, record)
    if state.stays:
        commands = (resume_command(state), *commands)
        return Draft("stays_paused", Severity.CRITICAL, f"{state.stays}, and stays so", state.because, _STAYS, commands)
    kind, severity, headline = _WORDS[state.phase]
    soak = dt.datetime.fromtimestamp(state.soak_until_wall or 0.0, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    next_step = _NEXT.get(state.phase, "").format(resume=resume or "see explain", soak=soak)
    if state.phase is Phase.SOAKING and (state.soak_until_wall or 0.0) <= state.since_wall:
        # Without a soak it is only its checks that are waited for.
        headline, next_step = "ended; the checks of its data follow", ""
    return Draft(kind, severity, headline, state.because, next_step, commands)
