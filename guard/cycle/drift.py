"""Which readings make the baselines that rules go by, and for how long each of them holds.

A reading counts while nobody has begun: no migration is at work and none is in its soak. From the first that comes
until the last is over the baselines stand still, for every run alike: one that waits because a signal is bad must not
wait until bad is usual. Only where there is none do readings count on while it waits, since it has done nothing yet.
A baseline that such a time outlives is taken anew, from readings of that time at which every rule was fine.

The figure itself is made in guard.judge.baselines; nothing is asked or written here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from guard.cycle.board import POOLED_GONE_AFTER, Board
from guard.decide import notices
from guard.decide.machine import ENDINGS
from guard.decide.notices import Draft
from guard.errors import Refused
from guard.judge.baselines import NONE_YET, Gathering, Known, take, usable, words
from guard.judge.findings import concerns
from guard.judge.quantities import say_seconds
from guard.model import Ask, Baseline, Kept, Level, Phase, Reading, Roster, Rule, Run, State
from guard.ports import History

KEEP_EVERY = 30.0
"""Seconds between two writes of the readings: so much of them a kill may lose."""
_OF_APPLICATIONS = ("http:", "prometheus:")
"""How questions begin whose answers do not depend on which server of the database leads."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a source said of the past: a baseline, or why there is none."""

    known: Known


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A source to be asked, for a time in Unix seconds."""

    of: str
    history: History
    since_wall: float
    until_wall: float
    window: float


class Drift:
    """The readings that count, by question; `follow` keeps the board's baselines by them."""

    def __init__(self, gathering: Gathering) -> None:
        self.gathering = gathering
        self._before: dict[str, list[tuple[float, float]]] = {}
        self._meanwhile: dict[str, list[tuple[float, float]]] = {}
        """Of the time since somebody began, at which every rule was fine."""
        self._told: dict[str, Known] = {}
        self._made: dict[str, tuple[object, Known]] = {}
        """The figures of before, each with what it was made of: to make it at each step would be most of a step."""
        self._still_since: float | None = None
        """When it was seen first that nobody has begun, by the monotonic clock; None: somebody has, or who knows."""
        self._began: float | None = None
        self._over: float | None = None
        """Unix times: since when somebody is at work, and until when somebody was before."""
        self._quiet = True
        """Nobody is there, at work or to begin."""
        self._asked: set[str] = set()
        self._begun: set[tuple[str, int | None]] = set()
        """Runs that have begun, and of which nobody has said yet whether they have their baselines."""
        self._unkept, self._kept_at = False, -math.inf

    # -- what outlasts a restart ---------------------------------------------------------------------------------------

    def recall(self, board: Board, kept: Kept, states: Iterable[State]) -> None:
        """Take up the readings that were written down, and the baselines that runs under way are measured against."""
        same = kept.home in {"", board.home}
        for of, samples in kept.readings.items():
            if same or of.startswith(_OF_APPLICATIONS):
                self._before[of] = list(samples)
        for state in states:
            if state.phase not in ENDINGS:
                board.baselines.update({known.of: known for known in state.baselines})
            if _has_begun(state):
                # What a source is asked for lies before that, as far as it is known: a phase may not be the first one.
                self._began = min(
                    at for at in (self._began, state.since_wall, state.applied_since_wall) if at is not None
                )

    def to_keep(self, board: Board, now: float) -> Kept | None:
        """What is to be written down now; None where it is not yet time, or nothing is new."""
        if not self._unkept or now - self._kept_at < KEEP_EVERY:
            return None
        self._unkept, self._kept_at = False, now
        return Kept(board.home, {of: tuple(self._before[of]) for of in board.asking() if of in self._before})

    def moved(self) -> None:
        """The guard leads on another server: what was read on the one before says nothing of this one.

        A run that has begun keeps what it is measured against: how it was before is what matters to it.
        """
        self._before = {of: kept for of, kept in self._before.items() if of.startswith(_OF_APPLICATIONS)}
        self._meanwhile.clear()

    # -- at each step --------------------------------------------------------------------------------------------------

    def follow(
        self, board: Board, states: Iterable[State], closed: Container[int], *, now: float, wall: float, held: bool
    ) -> tuple[Draft, ...]:
        """Count the readings that count and renew the board's baselines, before it judges; what people are told.

        *closed*: runs that were let go. *held*: whether who waits to begin is told to wait; nobody is who is observed.
        """
        roster, states = board.roster, tuple(states)
        if roster is None or board.blind:
            self._still_since = None
            return ()
        begun = _anybody_has_begun(roster, states, closed) or any(not held or board.freed(run) for run in _here(roster))
        self._note(roster, wall, begun=begun)
        self._quiet = quiet = not begun and not _here(roster) and all(state.phase in ENDINGS for state in states)
        if quiet:
            self._asked.clear()
            self._told.clear()
        drafts = []
        for of, rule in board.asking().items():
            missing = not isinstance(board.baselines.get(of), Baseline)
            if begun or quiet or missing:
                self._gather(of, rule, board, wall - now)
            if quiet or missing:
                board.baselines[of] = self._best(of, wall)
            elif draft := self._renewed(of, rule, board, wall):
                drafts.append(draft)
        return tuple(drafts)

    def _note(self, roster: Roster, wall: float, *, begun: bool) -> None:
        if begun:
            self._still_since = None
            self._began = wall if self._began is None else self._began
            return
        self._meanwhile.clear()
        self._still_since = roster.taken_at if self._still_since is None else self._still_since
        if self._began is not None:
            self._began, self._over = None, wall

    def _gather(self, of: str, rule: Rule, board: Board, distance: float) -> None:
        sample, roster = board.samples.get(rule.sensor), board.roster
        if not isinstance(sample, Reading) or roster is None or not math.isfinite(sample.value):
            return
        if self._still_since is None:
            kept, counts = self._meanwhile, _all_fine(board)
        else:
            # Who came just before it was taken is seen by the next look at who is here.
            kept, counts = self._before, self._still_since <= sample.taken_at <= roster.taken_at
        samples, at = kept.setdefault(of, []), sample.taken_at + distance
        if counts and (not samples or abs(at - samples[-1][0]) >= self.gathering.spacing):
            samples.append((at, sample.value))
            del samples[: -self.gathering.most]
            self._unkept |= kept is self._before

    def _best(self, of: str, wall: float) -> Known:
        told = self._told.get(of)
        if isinstance(told, Baseline):
            return told
        samples = self._before.get(of, ())
        # A minute is soon enough to see that the oldest are too old by now. A wall clock may have been set back.
        made_of = (samples[-1] if samples else None, len(samples), self.gathering, told, wall // 60)
        if self._made.get(of, ((), ""))[0] != made_of:
            recent = usable(samples, wall - self.gathering.lasts, math.inf)
            try:
                known: Known = take(recent, of, self.gathering.window)
            except Refused as refused:
                known = str(refused) if told is None else f"{refused}; {told}"
            self._made[of] = (made_of, known)
        return self._made[of][1]

    def _renewed(self, of: str, rule: Rule, board: Board, wall: float) -> Draft | None:
        old = board.baselines[of]
        if isinstance(old, str) or wall - old.until_wall < self.gathering.lasts:
            return None
        try:
            new = take(self._meanwhile.get(of, ()), of, self.gathering.window)
        except Refused:
            return None
        board.baselines[of] = new
        self._meanwhile.pop(of, None)
        age = say_seconds(round(wall - old.until_wall))
        before, after = words(old, rule.dimension), words(new, rule.dimension)
        return notices.baseline_anew(rule.name, after, f"the one before was {age} old: {before}")

    # -- sources that know the past ------------------------------------------------------------------------------------

    def inquiries(self, board: Board, histories: Mapping[str, History], wall: float) -> list[Inquiry]:
        """Whom to ask for the past: once as somebody comes, where the guard's own readings are too few."""
        roster = board.roster
        if roster is None or self._quiet:
            return []
        came = [run.registered_wall for run in _here(roster)]
        until = min([wall if self._began is None else self._began, *came])
        since = max(until - self.gathering.window, self._over or 0.0)
        found = []
        for of, rule in board.asking().items():
            history = histories.get(rule.name)
            if history is None or of in self._asked or isinstance(board.baselines.get(of), Baseline):
                continue
            self._asked.add(of)
            found.append(Inquiry(of, history, since, until, self.gathering.window))
        return found

    def learn(self, of: str, remembered: Remembered | None) -> None:
        """Take what a source said of the past (None: it failed); it counts until nobody is here any more."""
        self._told[of] = "its source could not be asked for the past" if remembered is None else remembered.known

    def begins(self, key: tuple[str, int | None]) -> None:
        """A run waits no longer."""
        self._begun.add(key)

    def unmeasured(self, board: Board, states: Mapping[tuple[str, int | None], State]) -> list[tuple[State, Draft]]:
        """Runs that have begun and have no baseline, told once, and not while a source is still asked for it."""
        found = []
        for key in tuple(self._begun):
            state = states.get(key)
            lacking = _without(board, key[0]) if state is not None and _has_begun(state) else {}
            if (self._asked - self._told.keys()) & lacking.keys():
                continue
            self._begun.discard(key)
            if state is not None and lacking:
                found.append((state, notices.no_baseline(tuple(lacking.values()))))
        return found


async def inquire(inquiry: Inquiry) -> Remembered:
    """Ask a source for the past."""
    try:
        samples = await inquiry.history.samples(inquiry.since_wall, inquiry.until_wall)
        known = usable(samples, inquiry.since_wall, inquiry.until_wall)
        return Remembered(take(known, inquiry.of, inquiry.window, inquiry.history.source))
    except Refused as refused:
        return Remembered(f"{inquiry.history.source}: {refused}")


def measured(board: Board, state: State) -> State:
    """The state with the baselines that its run is measured against now; what is over keeps those that it had."""
    if state.phase in ENDINGS:
        return state
    asked = {board.questions.get(rule.name) for rule in board.rules if concerns(rule, state.migration)}
    found = [known for of, known in sorted(board.baselines.items()) if of in asked and isinstance(known, Baseline)]
    return state if state.baselines == tuple(found) else dataclasses.replace(state, baselines=tuple(found))


def _without(board: Board, migration: str) -> dict[str, str]:
    """Of the rules that concern a migration, the questions without a baseline, each with the reason."""
    found = {}
    for rule in board.rules:
        of = board.questions.get(rule.name)
        known = NONE_YET if of is None else board.baselines.get(of, NONE_YET)
        if of is not None and concerns(rule, migration) and isinstance(known, str):
            found[of] = f"{rule.name}: {words(known, rule.dimension)}"
    return found


def _has_begun(state: State) -> bool:
    # Of who waits something may have been seen to be done: under an override that has ended, say.
    waits = state.phase is Phase.WAITING and state.applied_since_wall is None
    return not waits and state.phase not in ENDINGS


def _anybody_has_begun(roster: Roster, states: tuple[State, ...], closed: Container[int]) -> bool:
    """Whether somebody is at work, or was and is still looked after; also one that does not heed that it is over."""
    over = {state.run_id for state in states if state.phase in ENDINGS}
    unheeding = any(run.run_id in over or run.run_id in closed for run in _here(roster))
    return unheeding or bool(roster.strangers) or any(_has_begun(state) for state in states)


def _here(roster: Roster) -> list[Run]:
    """Runs that are there to be seen: one whose client was killed stands in the list for good."""
    fresh = roster.server_wall - POOLED_GONE_AFTER
    ours = (run for run in roster.runs if run.outcome is None)
    return [run for run in ours if run.session is not None or (run.pooled and run.last_seen_wall > fresh)]


def _all_fine(board: Board) -> bool:
    verdicts = board.verdicts.values()
    return all(verdict.level is Level.FINE and verdict.ask is Ask.PROCEED for verdict in verdicts)
