"""Acts that take their time, each as one coroutine that ends with a result for the next step.

They never decide: a queue is cleared because the rules asked for it, and the canceller looks again by itself; a run is
rolled back in the one order that cannot do harm: abort, its sessions proven gone, the reason read again, claim, hook.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from guard.decide.obeying import TERMINATE
from guard.errors import GuardError, ServerError
from guard.judge.quantities import say_seconds
from guard.model import EVERYONE, Roster, Rule, Run, State
from guard.model.patterns import key_for
from guard.ports import CancelReport, Ended, Hands, Hook, HookOutcome

Words = tuple[str, ...]
STARTS_WITHIN = 20.0
"""Seconds: who has claimed a rollback starts the hook within 15, or gives it up."""
BEGINS_WITHIN = 60.0
"""Seconds: what could not be begun by then rests on a breach that nobody has measured since."""
ROLLBACK_MARGIN = 120.0
"""Seconds beyond its timeout after which a hook that a former daemon began is no longer waited for."""
_CLAIMED_ONLY = "not started on this machine: the daemon that had claimed the rollback died before it started the hook"


@dataclass(frozen=True, slots=True)
class QueueCleared:
    """What came of a queue. Of several runs that the rule concerns, `key` is the one that asked first."""

    key: tuple[str, int | None]
    rule: str
    report: CancelReport


@dataclass(frozen=True, slots=True)
class Due:
    """For how many seconds a rollback has been due: in all, and of that under the present daemon."""

    seconds: float = 0.0
    here: float = 0.0


@dataclass(frozen=True, slots=True)
class RolledBack:
    key: tuple[str, int | None]
    outcome: HookOutcome
    command: tuple[str, ...] = ()
    """By which a human can roll back what was withheld."""


@dataclass(frozen=True, slots=True)
class WayFree:
    """No session of the run is left; what their statements left behind, in words."""

    key: tuple[str, int | None]
    behind: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stopped:
    """What came of a rung that a run climbed since it did not keep to its pause."""

    state: State
    """As it was then."""
    rung: str
    report: CancelReport


async def clear_queue(hands: Hands, key: tuple[str, int | None], rule: Rule, roster: Roster) -> QueueCleared:
    """Cancel what holds up the queue; terminate what did not yield to the cancel."""
    report = await _clear(hands, rule, roster, terminate=False)
    if any(_stubborn(ended) for ended in report.ended):
        second = await _clear(hands, rule, roster, terminate=True)
        report = CancelReport(
            ended=report.ended + second.ended,
            queued=report.queued,
            nothing_because=second.nothing_because,
            root=report.root or second.root,
            leftovers=report.leftovers + second.leftovers,
        )
    return QueueCleared(key, rule.name, report)


async def _clear(hands: Hands, rule: Rule, roster: Roster, *, terminate: bool) -> CancelReport:
    try:
        return await hands.canceller.clear_queue(rule, roster, terminate=terminate)
    except ServerError as error:
        return CancelReport(nothing_because=f"it could not be done: {error}")


async def stop(hands: Hands, state: State, run: Run, rung: str) -> Stopped:
    """Cancel or terminate what the sessions of a run do although it is told to pause."""
    try:
        report = await hands.canceller.stop(run, terminate=rung == TERMINATE)
    except ServerError as error:
        report = CancelReport(nothing_because=f"it could not be done: {error}")
    return Stopped(state, rung, report)


def _stubborn(ended: Ended) -> bool:
    return ended.how == "cancelled" and not ended.gone


async def make_way(hands: Hands, state: State, run: Run | None, *, hook: Hook, due: Due) -> RolledBack | WayFree:
    """End a run's sessions before its rollback; the end of the rollback where it has one, or cannot begin."""
    key = (state.migration, state.run_id)
    if ended := await _ended(hands, state, hook, due):
        return ended
    try:
        alive, behind = await _end_sessions(hands, run) if run is not None else ("", ())
    except GuardError as error:
        alive, behind = str(error), ()
    return RolledBack(key, HookOutcome(False, f"the hook was not run: {alive}")) if alive else WayFree(key, behind)


async def roll_back(
    hands: Hands, state: State, run: Run | None, *, hook: Hook, facts: dict[str, object], due: Due, behind: Words = ()
) -> RolledBack | None:
    """Roll a run back; None where a hook of an earlier daemon is still at work and must be waited for.

    *behind* says what its sessions left behind, so far.
    """
    key = (state.migration, state.run_id)
    if ended := await _ended(hands, state, hook, due):
        return ended
    target = run or _absent(state)
    try:
        # Once more: its reason was waited for, and who was gone may have come back.
        alive, more = await _end_sessions(hands, run) if run is not None else ("", ())
        if alive:
            return RolledBack(key, HookOutcome(False, f"the hook was not run: {alive}"))
        if not await hands.signal.claim_rollback(target, state.because, hook.command):
            if due.here < STARTS_WITHIN or hook.begun(target.run_id):
                return None
            return RolledBack(key, await _finish(hands, state, target.run_id, HookOutcome(False, _CLAIMED_ONLY)))
    except GuardError as error:
        return RolledBack(key, HookOutcome(False, f"the hook was not run: {error}"))
    outcome = await hook.run(facts)
    if left := "; ".join(dict.fromkeys(behind + more)):
        outcome = dataclasses.replace(outcome, words=f"{outcome.words}; ending its sessions had left behind: {left}")
    return RolledBack(key, await _finish(hands, state, target.run_id, outcome))


async def withhold(hands: Hands, state: State, why: str, command: Words) -> RolledBack:
    """Do not roll a run back after all; it stays aborted."""
    outcome = HookOutcome(False, why, withheld=True)
    # There is a claim to be closed where an earlier daemon made one and did not begin.
    outcome = await _finish(hands, state, state.run_id or 0, outcome)
    return RolledBack((state.migration, state.run_id), outcome, command)


async def _ended(hands: Hands, state: State, hook: Hook, due: Due) -> RolledBack | None:
    """The end of a rollback that has ended already, or can begin no more."""
    key = (state.migration, state.run_id)
    if state.run_id is None:
        return RolledBack(key, HookOutcome(False, "an unregistered migration cannot be rolled back"))
    if known := hook.last_outcome(state.run_id):
        return RolledBack(key, await _finish(hands, state, state.run_id, known))
    if words := _too_late(hook, state.run_id, due):
        return RolledBack(key, await _finish(hands, state, state.run_id, HookOutcome(False, words)))
    return None


def _too_late(hook: Hook, run_id: int, due: Due) -> str:
    """Why it is no longer waited for, or not begun any more; empty while it may be."""
    if hook.begun(run_id):
        late = due.seconds > hook.timeout + ROLLBACK_MARGIN
        return "it was begun and its end is not known; the hook may have run" if late else ""
    if due.seconds <= BEGINS_WITHIN:
        return ""
    return f"not started: it has been due for {say_seconds(round(due.seconds))}, and what was measured then may be over"


async def _end_sessions(hands: Hands, run: Run) -> tuple[str, Words]:
    """End the run's sessions; say which of them are left, and what their statements left behind."""
    if run.pooled:
        return "the migration is behind a transaction pooler, so its sessions cannot be proven gone", ()
    report = await hands.canceller.end_run(run, terminate=False)
    behind = report.leftovers
    if any(not ended.gone for ended in report.ended):
        report = await hands.canceller.end_run(run, terminate=True)
        behind += report.leftovers
    alive = [ended for ended in report.ended if not ended.gone]
    words = (f"pid {ended.session.pid} is still there ({ended.how}) {ended.detail}".strip() for ended in alive)
    return "; ".join(words), behind


async def _finish(hands: Hands, state: State, run_id: int, outcome: HookOutcome) -> HookOutcome:
    outcome = await _verified(hands, state.migration, outcome)
    word = "done" if outcome.ok else "unverified" if outcome.unverified else "failed"
    word = "withheld" if outcome.withheld else word
    try:
        await hands.signal.finish_rollback(run_id, word, outcome.words)
    except GuardError as error:
        # The hook has run whatever the database says now; its outcome is told all the same.
        return dataclasses.replace(outcome, words=f"{outcome.words} (not recorded in the database: {error})")
    return outcome


async def _verified(hands: Hands, migration: str, outcome: HookOutcome) -> HookOutcome:
    """The outcome in the light of the database, where the hook is content and a query says how to look."""
    # A migration with a hook of its own is not judged by the query that goes with everybody's.
    verifier = hands.verifiers.get(key_for(hands.hooks, migration) or EVERYONE)
    if verifier is None or not outcome.ok or not (why := await verifier.doubt()):
        return outcome
    return HookOutcome(False, f"{outcome.words}, but {why}", outcome.output, unverified=True)


def _absent(state: State) -> Run:
    return Run(state.run_id or 0, state.migration, None, state.since_wall, state.since_wall)
