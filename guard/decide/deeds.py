"""What people are told of what was done, or could not be: cancels, rollbacks, checks of the data. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from guard.decide.draft import Draft, commands_for
from guard.model import Phase, Severity, State

FORGET_FIRST = "Nothing of this name may run until a human forgets it. Look first at what it has done."
"""Of a run that was aborted or rolled back."""
_UNSOUND = "It begins all the same. What does not hold before a run, or is not known, never has it rolled back."
_UNSOUND_AFTER = (
    "A human must look: what the run has changed stays, unless a rollback is told next. "
    "The record has the rows that were found, the first 20 of each check."
)
_UNKNOWN_AFTER = "A human must look: the guard asks once, and takes no answer for a good one."


def ask_human(state: State, why: str, because: str, hook: tuple[str, ...]) -> Draft:
    """A rollback is due and may not fire by itself."""
    steps = f"Not fired because {why}. Decide, and roll back by hand if it is the change that does this."
    # Who has ended can be neither let go on nor aborted.
    over = (f"migration-guard explain {shlex.quote(state.migration)}", f"migration-guard report {state.run_id}")
    commands = over if state.phase in (Phase.SOAKING, Phase.DONE) else commands_for(Phase.PAUSED, state.migration)
    return Draft(
        "rollback_due",
        Severity.CRITICAL,
        "a rollback is due: a human must decide",
        because,
        steps,
        ((" ".join(hook),) if hook else ()) + commands,
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


def rolled_back(state: State, *, ok: bool, words: str, output: str, unverified: bool = False) -> Draft:
    """How the rollback ended. Unverified: the hook says that it went well, and the database does not."""
    fields = {"hook": words} | ({"output": output[-500:]} if output else {})
    commands = commands_for(Phase.ABORTED, state.migration)
    if ok:
        return Draft("rolled_back", Severity.CRITICAL, "rolled back", state.because, FORGET_FIRST, commands, fields)
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


def no_baseline(lacking: Sequence[str]) -> Draft:
    """A migration begins, and some of its rules have no baseline to go by."""
    steps = (
        "Its limits that need no baseline hold; past them the rule counts as unknown. Readings of a quiet time before "
        "it begins make a baseline: explain shows it while nothing runs."
    )
    return Draft("no_baseline", Severity.WARNING, "begins without a baseline", "; ".join(lacking), steps)
