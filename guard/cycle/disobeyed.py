"""What people are told of a run that does not keep to its pause. Pure."""

from __future__ import annotations

import shlex

from guard.decide.ladder import Circumstances
from guard.decide.notices import Draft, commands_for
from guard.decide.obeying import ABORT, CANCEL, GOES_ON, INSIDE, RUNGS, TERMINATE
from guard.judge.quantities import say_seconds
from guard.model import Phase, Severity, State


def news(mark: str, state: State, facts: Circumstances) -> Draft:
    """The notice of a mark of guard.decide.obeying."""
    if mark == INSIDE:
        return _inside(state, facts)
    return _goes_on(state, facts) if mark == GOES_ON else _left(state, facts)


def told_for(state: State, wall: float) -> str:
    """For how long it has been told to pause, and why."""
    lasts = say_seconds(round(max(0.0, wall - state.since_wall), 1))
    return f"told to pause {lasts} ago ({state.because})"


def took_hold(state: State) -> str:
    """How long it took from the request until a pause was acknowledged and effective."""
    heard = _after(state, state.acknowledged_since_wall, "acknowledged")
    held = _after(state, state.effective_since_wall, "effective")
    return ", ".join(filter(None, (heard or "never acknowledged", held or "not seen to hold")))


def _after(state: State, wall: float | None, what: str) -> str:
    return "" if wall is None else f"{what} after {say_seconds(round(max(0.0, wall - state.since_wall), 1))}"


def _inside(state: State, facts: Circumstances) -> Draft:
    if facts.beyond:
        step = f"Nothing of it is ended: {facts.beyond}."
    elif TERMINATE in facts.bounds.ignored:
        step = "Its session is ended when its grace is over: a cancel does nothing to one that idles."
    else:
        step = "A cancel does nothing to a session that idles; others that want what it holds wait."
    because = f"{told_for(state, facts.wall)}; {facts.inside}"
    step += " It should ask between its transactions, not in them."
    commands = (*_by_hand(facts, "pg_terminate_backend"), *commands_for(Phase.PAUSED, state.migration))
    return Draft("paused_inside", Severity.WARNING, "is paused inside a transaction", because, step, commands)


def _left(state: State, facts: Circumstances) -> Draft:
    headline = f"is told to pause and left to finish: {facts.left}"
    step = (
        "Cancelled it would leave damage behind. Where it takes too long all the same, cancel it and mend what it "
        "leaves, such as an invalid index."
    )
    commands = tuple(f"select pg_cancel_backend({pid});" for pid in facts.left_pids)
    return Draft("let_finish", Severity.WARNING, headline, told_for(state, facts.wall), step, commands)


def _goes_on(state: State, facts: Circumstances) -> Draft:
    allowed, done = facts.bounds.ignored, [rung for rung in RUNGS if rung in state.rungs]
    if facts.beyond:
        step = f"Nothing of it is ended: {facts.beyond}."
    elif done:
        step = f"The guard did {' and '.join(done)} it, and may do no more."
    elif allowed:
        step = "A cancel does nothing to a session that idles, and the guard may do no more."
    else:
        step = 'Nothing of it is ended: [migrations] ignored is "warn".'
    heard = "has" if state.acknowledged_since_wall is not None else "has not"
    because = f"{told_for(state, facts.wall)}, which it {heard} acknowledged; {facts.in_flight}"
    function = "pg_terminate_backend" if facts.idles or CANCEL in done else "pg_cancel_backend"
    commands = (*_by_hand(facts, function), f"migration-guard {ABORT} {shlex.quote(state.migration)} --reason WHY")
    return Draft("ignored", Severity.WARNING, "goes on although it is told to pause", because, step, commands)


def _by_hand(facts: Circumstances, function: str) -> tuple[str, ...]:
    """What a person may do; to a server process of a pooler nothing."""
    return () if facts.beyond else tuple(f"select {function}({pid});" for pid in facts.busy)
