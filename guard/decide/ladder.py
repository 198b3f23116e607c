"""The rungs above a pause: when a rollback may fire by itself, and when a cancelled migration may not try again.

Both answer in words, since "no" is told to a human who then has to decide.
"""

from __future__ import annotations

from dataclasses import dataclass

from guard.decide.bounds import USUAL_BOUNDS, Bounds
from guard.model import Ask, Fence, Finding, Phase, State, Verdict

CANCELS_ALLOWED = 2
"""A migration that comes back a third time within FORGIVEN_AFTER does not understand the hint."""
FORGIVEN_AFTER = 600.0
"""Seconds of running without a cancel after which earlier ones no longer count."""


_CLOCK_SLIPS = 1.0
"""Seconds by which a server's clock may be put right without anybody having set it."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What must be known beside the rules before one step of one run is decided."""

    wall: float
    other_candidates: int = 0
    """Other runs that were at work: with more than one, nobody can say whose change it was."""
    hook: bool = False
    """A rollback hook is configured for this migration."""
    auto_rollback: bool = False
    """Whether the hook may fire by itself in the soak."""
    overridden: bool = False
    """An operator has taken the responsibility."""
    aborted_by: str = ""
    """Words of an operator's abort in force."""
    outcome: str | None = None
    """The client's own word about its end."""
    gone: bool = False
    """Its session has vanished without such a word."""
    soak: float = 0.0
    epoch: int = 0
    pid: int | None = None
    """Process id of its registered session, while that exists."""
    member_pids: tuple[int, ...] = ()
    """Those of its other sessions."""
    bounds: Bounds = USUAL_BOUNDS
    pardoned: bool = False
    """A human says that it may go on however often it was paused."""
    acknowledged: bool = False
    """The client has seen the present order, or was seen to do nothing."""
    unverified: bool = False
    """Checks of its data are still to be answered: before it begins, or before its soak is over."""
    fenced: str = ""
    """The section in which it must not be cancelled now, by its client's word; empty where it is in none."""
    heard: bool = False
    """The client has said that it has read the present order."""
    in_flight: str = ""
    """What its sessions were seen to do although it is told to pause, in words; empty where they do nothing."""
    busy: tuple[int, ...] = ()
    """Process ids of these."""
    idles: bool = False
    """All of them idle in a transaction, so that there is nothing to be cancelled."""
    inside: str = ""
    """Who of them has idled for so long that it waits there, and what it holds, in words."""
    left: str = ""
    """Statements of it that are left to finish, in words."""
    left_pids: tuple[int, ...] = ()
    """Process ids of the sessions that are at these."""
    quiet: bool = False
    """Nothing of it was in flight for a while."""
    overdue: bool = False
    """Its grace is over, and so is the time that what was done last may take."""
    beyond: str = ""
    """Why nothing of it may be ended, whatever it does; empty where it may."""


def why_no_rollback(verdict: Verdict, state: State, facts: Circumstances) -> str:
    """Say why this rollback must not fire by itself; empty where it may.

    A rollback undoes what the change itself did. So the signal must have been well before the run, the breach must
    have begun after the run first applied something, and no other run may be a candidate.
    """
    measured = verdict.measured and verdict.since is not None
    early = verdict.rule in state.breached_before
    others = facts.other_candidates
    reasons = (
        (not facts.hook, "no rollback hook is configured"),
        (state.run_id is None, "the migration is not registered, so it is not known when it began"),
        (facts.overridden, "an operator's override is in force"),
        (not measured, "the breach was not measured throughout"),
        (verdict.rule not in state.well_before, f"{verdict.rule} was not known to be well before the run began"),
        (state.applied_since_wall is None, "the run has not applied anything yet"),
        (early, "the breach began before the run first applied something"),
        (others > 0, f"{others} other run(s) were at work, so the cause is not certain"),
        (
            (state.phase is Phase.SOAKING or facts.outcome is not None) and not facts.auto_rollback,
            "the migration has ended, and auto_rollback is not set",
        ),
    )
    return next((words for holds, words in reasons if holds), "")


def breached_before(state: State, finding: Finding) -> tuple[str, ...]:
    """Rules whose present breach may have begun before the run first applied something.

    The order of what was seen is kept rather than times: a wall clock may be set between the two, and the beginning of
    a breach is forgotten in a silence or a restart. What nobody could see then is under suspicion too, until a reading
    shows that the limit is kept.
    """
    rules = set(state.breached_before)
    for verdict in finding.verdicts:
        if verdict.harms is False:
            rules.discard(verdict.rule)
        elif state.applied_since_wall is None:
            rules.add(verdict.rule)
    return tuple(sorted(rules))


def ran_for(state: State, wall: float) -> float:
    """Seconds that a run was at work since its last cancel, in however many pieces."""
    at_work = state.phase in (Phase.RUNNING, Phase.STRAINED)
    # A clock that was set back takes nothing away.
    return state.ran + (max(0.0, wall - state.since_wall) if at_work else 0.0)


def holds_up(state: State, finding: Finding, facts: Circumstances) -> bool:
    """Whether the lock queue that was found may be this run's: it is, or nobody can tell whose it is."""
    blamed = frozenset[int]().union(*(verdict.caused_by for verdict in finding.asking(Ask.CANCEL)))
    return state.run_id is None or not blamed or not blamed.isdisjoint((facts.pid, *facts.member_pids))


def came_back_too_often(state: State, finding: Finding, facts: Circumstances) -> bool:
    """Whether the lock queue that was found is this run's, and one too many."""
    if state.run_id is None or not holds_up(state, finding, facts):
        return False
    return state.cancels >= CANCELS_ALLOWED and ran_for(state, facts.wall) <= FORGIVEN_AFTER


def held_by_fence(state: State, finding: Finding, facts: Circumstances, *, may_roll_back: bool) -> tuple[str, ...]:
    """Rules whose cancel or rollback is due and waits, since the run is in a section in which it must not be cancelled.

    A pause does not wait: it disturbs no section, and is kept to after it.
    """
    if not facts.fenced:
        return ()
    # Of a queue that is another run's, nothing is due for this one.
    cancel = (Ask.CANCEL,) if holds_up(state, finding, facts) else ()
    asks = (*cancel, Ask.ROLLBACK) if may_roll_back else cancel
    return tuple(verdict.rule for ask in asks for verdict in finding.asking(ask))


def fence_left(fence: Fence, server_wall: float) -> float:
    """Seconds for which a fence still holds, by the server's clock; 0 for one that has run out, which is none.

    Nor is one that begins in the future: the clock was set back, and it would hold for as long as that.
    """
    return max(0.0, fence.until_wall - server_wall) if server_wall > fence.since_wall - _CLOCK_SLIPS else 0.0
