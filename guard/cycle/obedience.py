"""How runs keep to their pauses, as far as it is seen: what of them is in flight, and whether their grace is over.

It counts by the monotonic clock, and only while this guard looks on: neither a clock that is set nor a restart of the
guard shortens anybody's grace. What follows is decided elsewhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from guard.cycle.board import Board
from guard.cycle.values import Key, Options
from guard.decide.ladder import Circumstances
from guard.decide.obeying import STOPPED
from guard.model import Run, Session, State

LONG = 1.0
"""Seconds from which on a transaction counts that has changed nothing: to ask the guard takes milliseconds."""
INSIDE = 2.0
"""Seconds of idling in a transaction after which a session waits there: between two statements of a batch none does."""
QUIET = 3.0
"""Seconds of doing nothing after which one that never acknowledges counts as paused, until it is seen at work again."""
SPACING = 2.0
"""Seconds between two rungs where the first one was not seen to be in vain."""
_ACTIVE = ("active", "fastpath function call")
_POOLED = "it is behind a transaction pooler, where its server processes may serve others"
_UNSEEN = "it may be at work, behind a transaction pooler"


@dataclass(slots=True)
class _Watched:
    """One run that is told to pause."""

    since: float
    """When this guard first saw it so; or when it was last allowed to be at work all the same."""
    acted: float = float("-inf")
    """When something was last done about it."""
    spared_until: float = float("-inf")
    worked: float = float("-inf")
    """When it was last seen at work."""
    words: str = ""


@dataclass(slots=True)
class _Doing:
    """What the sessions of a run do at one look."""

    at_work: list[Session] = field(default_factory=list)
    idling: list[Session] = field(default_factory=list)
    """In a transaction that has changed or locked something."""
    left: list[Session] = field(default_factory=list)
    still: bool = False
    """Each of them has done nothing for a while."""
    young: bool = False
    """One has begun a statement or a transaction of which nobody can say yet whether it is work."""

    @classmethod
    def of(cls, run: Run, *, let_finish: bool) -> _Doing:
        doing = cls(still=bool(run.sessions) and all(map(_still, run.sessions)))
        for session in run.sessions:
            if session.state == "idle in transaction" and (session.writes or session.holds):
                doing.idling.append(session)
            elif session.state in _ACTIVE and _works(session, run):
                (doing.left if let_finish and session.gentle else doing.at_work).append(session)
            doing.young |= _young(session)
        return doing

    @property
    def in_flight(self) -> str:
        at_work = [f"{session.words} is at work" for session in self.at_work]
        return "; ".join(at_work + [f"{session.words} is in a transaction" for session in self.idling])

    @property
    def inside(self) -> str:
        waiting = (session for session in self.idling if session.in_state >= INSIDE and session.holds)
        return "; ".join(f"{session.words} idles in a transaction and has {session.holds}" for session in waiting)

    @property
    def let_finish(self) -> str:
        return "; ".join(f"{session.gentle} of {session.words}" for session in self.left)


def _still(session: Session) -> bool:
    return session.state == "idle" and session.in_state >= QUIET


def _young(session: Session) -> bool:
    if session.state == "idle in transaction":
        return session.in_state < LONG
    return session.state in _ACTIVE and not session.asks and 0 < session.at_work < LONG


def _works(session: Session, run: Run) -> bool:
    """Whether an active session is at work, and not just asking, or waiting to be let go on as SQL may wait."""
    if session.asks or (session.sleeps and not session.writes and run.acknowledged_epoch > 0):
        return False
    return session.writes or session.at_work >= LONG


class Obedience:
    """Watches the runs that are told to pause."""

    def __init__(self) -> None:
        self._watched: dict[Key, _Watched] = {}

    def keep(self, keys: Collection[Key]) -> None:
        """Forget all runs but these."""
        self._watched = {key: watched for key, watched in self._watched.items() if key in keys}

    def acted(self, key: Key, now: float, *, in_vain: bool) -> None:
        """Something was done to the sessions of a run: what was seen before says nothing about the next rung.

        *in_vain*: they were watched since and did not yield, so that the next one need not wait.
        """
        if key in self._watched:
            watched = self._watched[key]
            watched.acted, watched.spared_until = now, now if in_vain else now + SPACING

    @property
    def in_flight(self) -> Mapping[str, str]:
        """What is in flight of runs that are told to pause, in words, by run id."""
        return {str(run_id): watched.words for (_, run_id), watched in self._watched.items() if watched.words}

    def look(self, state: State, facts: Circumstances, *, board: Board, options: Options, now: float) -> Circumstances:
        """The circumstances with what is seen of how a run keeps to its pause."""
        key, run = (state.migration, state.run_id), board.run(state.run_id)
        if state.phase not in STOPPED or run is None or run.outcome is not None:
            self._watched.pop(key, None)
            return facts
        watched = self._watched.setdefault(key, _Watched(now))
        if facts.overridden or facts.fenced:
            watched.since, watched.words = now, ""
            return facts
        looked = board.roster is not None and watched.acted < board.roster.taken_at >= watched.since
        overdue = now - watched.since >= options.grace and now >= watched.spared_until
        if board.blind or not looked:
            # Nobody knows what it does now, so it does not count as paused now.
            return dataclasses.replace(facts, overdue=overdue, acknowledged=False)
        if run.pooled:
            unheard = "" if facts.heard else _UNSEEN
            watched.words = unheard
            return dataclasses.replace(facts, overdue=overdue, in_flight=unheard, beyond=_POOLED)
        doing = _Doing.of(run, let_finish=options.let_finish)
        watched.words = "; ".join(filter(None, (doing.in_flight, doing.let_finish)))
        watched.worked = now if watched.words else watched.worked
        rests = now - max(watched.since, watched.worked) >= QUIET
        return dataclasses.replace(
            facts,
            # A lock that nobody asked for is had at once, also beside a client that has heard of no pause.
            acknowledged=facts.acknowledged and (facts.heard or not doing.young),
            overdue=overdue,
            in_flight=doing.in_flight,
            busy=tuple(session.pid for session in (*doing.at_work, *doing.idling)),
            idles=bool(doing.idling) and not doing.at_work,
            inside=doing.inside,
            left=doing.let_finish,
            left_pids=tuple(session.pid for session in doing.left),
            quiet=rests and (doing.still or facts.heard),
        )
