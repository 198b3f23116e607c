"""Whom to tell what, and why. Pure: each change of a run becomes at most one notice, with the reason unchanged.

Only changes speak: began, ended, acted, failed, a human is needed. What merely goes on is in `status` and `explain`.
"""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from guard.decide.bounds import resume_command
from guard.decide.decision import Decision
from guard.model import EVERYONE, Notice, Phase, Severity, State


@dataclass(frozen=True, slots=True)
class Draft:
    """A notice without its id, time and addressee."""

    kind: str
    severity: Severity
    headline: str
    because: str
    next_step: str = ""
    commands: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    about: str = ""
    """Whom the headline names; empty: the migration of the state that it is told of."""


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
    Phase.ROLLING_BACK: "The migration is told to abort. When its sessions are gone the signal is read again; "
    "if it is as bad as before the rollback hook runs, once.",
    Phase.ABORTED: "Nothing of this name may run until a human forgets it. Look first at what it has done.",
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
_UNSOUND = "It begins all the same. What does not hold before a run, or is not known, never has it rolled back."
_UNSOUND_AFTER = (
    "A human must look: what the run has changed stays, unless a rollback is told next. "
    "The record has the rows that were found, the first 20 of each check."
)
_UNKNOWN_AFTER = "A human must look: the guard asks once, and takes no answer for a good one."
_VANISHED = (
    "Nothing holds its locks any more. Its own log says why; started again it waits for the guard as each new run does."
)
_OURSELVES = "migration-guard"
_AFTER_COLON = ("rollback_due", "operator")
"""Kinds whose headline is no verb of the migration."""


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


def commands_for(phase: Phase, migration: str) -> tuple[str, ...]:
    """The exact commands that change what happens next."""
    name = shlex.quote(migration)  # a shell would make file names of *
    if phase is Phase.PAUSED and migration == EVERYONE:
        return (f"migration-guard explain {name}",)  # an order for '*' would be one for every migration
    if phase is Phase.PAUSED:
        return (
            f"migration-guard explain {name}",
            f"migration-guard override {name} --reason WHY --for 30m",
            f"migration-guard abort {name} --reason WHY",
        )
    if phase is Phase.ABORTED:
        return (f"migration-guard explain {name}", f"migration-guard forget {name}")
    if phase in (Phase.ROLLING_BACK, Phase.STRAINED):
        return (f"migration-guard explain {name}",)
    return ()


def ask_human(state: State, why: str, because: str, hook: tuple[str, ...]) -> Draft:
    """A rollback is due and may not fire by itself."""
    steps = f"Not fired because {why}. Decide, and roll back by hand if it is the change that does this."
    return Draft(
        "rollback_due",
        Severity.CRITICAL,
        "a rollback is due: a human must decide",
        because,
        steps,
        ((" ".join(hook),) if hook else ()) + commands_for(Phase.PAUSED, state.migration),
    )


def cancelled(kind: str, headline: str, because: str, fields: Mapping[str, str], *, next_step: str = "") -> Draft:
    """What came of clearing a lock queue."""
    severity = Severity.CRITICAL if kind == "cancel_failed" else Severity.WARNING
    return Draft(kind, severity, headline, because, next_step, (), fields)


def cancel_waits(because: str, what: str) -> Draft:
    """A cancel or a rollback is due, and the migration is in a section in which it must not be cancelled."""
    steps = "What is due follows once the section or its time is over, if it is still due then."
    return Draft("cancel_waits", Severity.WARNING, f"is not touched while it is in {what}", because, steps)


def perhaps_cancelled(state: State) -> Draft:
    """The guard was about to clear the queue behind it when it was killed, and nobody knows how far it came."""
    steps = (
        "The guard was killed meanwhile, and the queue is gone. If it was cancelled, its client has seen "
        '"canceling statement due to user request" (57014), and may try again. It counts as cancelled.'
    )
    return Draft("cancelled", Severity.WARNING, "may have been cancelled", state.because, steps)


def moved(place: str) -> Draft:
    """The guard leads on another server than before."""
    steps = "Everything is read anew there. A migration has to connect to it by itself, and begins after a fair start."
    because = f"{place} is the primary now"
    return Draft("moved", Severity.WARNING, "leads on another server", because, steps, about=_OURSELVES)


def rolled_back(state: State, *, ok: bool, words: str, output: str, unverified: bool = False) -> Draft:
    """How the rollback ended. Unverified: the hook says that it went well, and the database does not."""
    fields = {"hook": words} | ({"output": output[-500:]} if output else {})
    commands = commands_for(Phase.ABORTED, state.migration)
    if ok:
        return Draft(
            "rolled_back", Severity.CRITICAL, "rolled back", state.because, _NEXT[Phase.ABORTED], commands, fields
        )
    step = "A human must look: it is not known to be rolled back, and the hook will not run again by itself."
    kind, headline = "rollback_failed", "rollback failed"
    if unverified:
        kind, headline = "rollback_unverified", "rollback could not be verified"
    return Draft(kind, Severity.CRITICAL, headline, state.because, step, commands, fields)


def checked(
    failed: Sequence[str], unknown: Sequence[str], state: State, *, rows: Mapping[str, str], before: bool
) -> Draft | None:
    """What came of the checks of the data; None where each holds. *rows*: what they returned, by the check's name."""
    if not failed and not unknown:
        return None
    because = "; ".join((*failed, *unknown))
    kind = "check_failed" if failed else "check_unknown"
    if before:
        headline = "begins with a check that does not hold" if failed else "begins without an answer to its checks"
        return Draft(kind, Severity.WARNING, headline, because, _UNSOUND, (), rows)
    commands = (f"migration-guard report {shlex.quote(state.migration)}",)
    if failed:
        headline = "has ended, and its data is not as it must be"
        return Draft(kind, Severity.CRITICAL, headline, because, _UNSOUND_AFTER, commands, rows)
    headline = "has ended, and it is not known whether its data is as it must be"
    return Draft(kind, Severity.WARNING, headline, because, _UNKNOWN_AFTER, commands)


def rollback_withheld(state: State, why: str, hook: tuple[str, ...]) -> Draft:
    """What called for the rollback was over when it was read again, so that only a human may want it still."""
    step = "It stays aborted, and what it has changed so far stays. Decide, and roll back by hand if it must go."
    return Draft(
        "rollback_withheld",
        Severity.CRITICAL,
        "is not rolled back after all",
        f"read again when its sessions were gone: {why}",
        step,
        ((" ".join(hook),) if hook else ()) + commands_for(Phase.ABORTED, state.migration),
    )


def stood_still(seconds: float) -> Draft:
    """The guard itself did nothing for a while."""
    because = f"its own process did nothing for {seconds:.1f} s: it was stopped, or the machine had no time for it"
    step = "Migrations hold by themselves when the lease ends. It looks at everything anew before it decides."
    return Draft("stood_still", Severity.WARNING, "stood still", because, step, about=_OURSELVES)


def baseline_anew(rule: str, now: str, before: str) -> Draft:
    """A run has outlived a baseline, and another was taken while it went on."""
    headline = f"measures {rule} anew: {now}"
    steps = "It was taken while a migration was at work and every rule was fine. Is that still what is usual?"
    return Draft("baseline", Severity.INFO, headline, before, steps, about=_OURSELVES)


def no_baseline(lacking: Sequence[str]) -> Draft:
    """A migration begins, and some of its rules have no baseline to go by."""
    steps = (
        "Its limits that need no baseline hold; past them the rule counts as unknown. Readings of a quiet time before "
        "it begins make a baseline: explain shows it while nothing runs."
    )
    return Draft("no_baseline", Severity.WARNING, "begins without a baseline", "; ".join(lacking), steps)


def reload_refused(problems: str) -> Draft:
    """A new configuration is wrong, or takes a restart."""
    step = "The configuration stays as it was."
    return Draft("reload_refused", Severity.WARNING, "refused a reload", problems, step, about=_OURSELVES)


def journal_trouble(trouble: str | None) -> Draft:
    """The journal cannot be written, or can be again."""
    if trouble is None:
        return Draft(
            "journal", Severity.INFO, "can write its journal again", "nothing of it was lost", about=_OURSELVES
        )
    return Draft("journal", Severity.WARNING, "has trouble with its disk", trouble, about=_OURSELVES)


def address(draft: Draft, state: State, *, notice_id: str, database: str, wall: float) -> Notice:
    """Make a notice of a draft."""
    return Notice(
        notice_id=notice_id,
        at_wall=wall,
        database=database,
        migration=state.migration,
        run_id=state.run_id,
        kind=draft.kind,
        severity=draft.severity,
        headline=f"{draft.about or name_of(state)}{':' * (draft.kind in _AFTER_COLON)} {draft.headline}",
        because=draft.because,
        next_step=draft.next_step,
        commands=draft.commands,
        fields=dict(draft.fields),
    )


def name_of(state: State) -> str:
    """The migration as people know it."""
    return "an unregistered migration" if state.migration == EVERYONE else state.migration
