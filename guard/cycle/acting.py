"""What a decision has the guard do, and what came of it.

Acts take their time, so they are chores beside the steps: never the same one twice at once, never as fast as it fails,
and counted against those migrations only whose sessions were ended.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass

from guard.cycle.board import Board
from guard.cycle.chores import (
    BEGINS_WITHIN,
    Due,
    QueueCleared,
    RolledBack,
    Stopped,
    WayFree,
    clear_queue,
    make_way,
    roll_back,
    stop,
    withhold,
)
from guard.cycle.courses import Courses
from guard.cycle.digest import digest
from guard.cycle.ledger import Ledger
from guard.cycle.obedience import Obedience
from guard.cycle.rereading import Proof, reread
from guard.cycle.stopping import climbed, stopped
from guard.cycle.values import Chore, Key, Options, Result
from guard.cycle.words import queue_cleared
from guard.decide import notices
from guard.decide.accounting import cut_off_again
from guard.decide.bounds import USUAL_BOUNDS, Bounds
from guard.decide.decision import Decision
from guard.decide.ladder import FORGIVEN_AFTER
from guard.decide.machine import ENDINGS, TABLE, Move
from guard.model import EVERYONE, Phase, State
from guard.model.patterns import entry_for
from guard.ports import Done, Hands, Hook, HookOutcome

AGAIN_AFTER = 1.0
"""Seconds between two beginnings of the same act: one that fails at once must not be tried as fast as it fails."""
_NO_HOOK = "no rollback hook is configured any more; whether one was begun is not known"


@dataclass(frozen=True, slots=True)
class Duty:
    """What an act needs to know and to have at one moment."""

    options: Options
    hands: Hands
    board: Board
    now: float
    wall: float


class Acting:
    """Starts chores and takes their results. `states` and `ledger` are the guard's own."""

    def __init__(self, states: dict[Key, State], ledger: Ledger, courses: Courses) -> None:
        self._states = states
        self._ledger = ledger
        self._courses = courses
        self._busy: set[tuple[str, Key]] = set()
        self._results: list[Result] = []
        self._started: dict[tuple[str, Key], float] = {}
        self._doubted: dict[Key, tuple[float, float]] = {}
        """Since when (monotonic) a rollback is under way with this daemon, and for how long it was before; seconds."""
        self._proofs: dict[Key, Proof] = {}
        """Of runs whose sessions are gone, and whose rollback waits for its reason to be read again."""
        self._asked: dict[str, State] = {}
        self._cancelled: dict[str, tuple[int, float]] = {}
        """By migration: how often of late, and when last. A cancelled migration that comes back is a new run."""
        self._released = False
        """The queue behind the unregistered was cleared and that was told, since they were last told of."""
        self.obedience = Obedience()

    def chores(self, decision: Decision, duty: Duty) -> list[Chore]:
        """What to start for one run."""
        state, key, roster = decision.state, (decision.state.migration, decision.state.run_id), duty.board.roster
        # Without a look at who is here nobody's sessions could be ended, nor proven gone before a rollback.
        if roster is None:
            return []
        chores = []
        for rule in [rule for rule in duty.options.rules if rule.name in decision.clear_queue]:
            about = (rule.name, None)
            if self._take_on("queue", about, duty.now):
                # The rule's own words: a run in its soak keeps the reason of its end.
                because = duty.board.verdicts[rule.name].because
                self._asked[rule.name] = dataclasses.replace(state, because=because)
                chores.append(Chore("queue", about, clear_queue(duty.hands, key, rule, roster)))
        if decision.rung and (run := duty.board.run(state.run_id)) is not None:
            chores += self._chore("stop", key, duty.now, stop(duty.hands, state, run, decision.rung))
        # A fence that was declared in the moment in which this was decided.
        if state.phase is Phase.ROLLING_BACK and duty.board.fence(state.run_id) is None:
            chores += self._roll_back(state, key, duty)
        return chores

    def _roll_back(self, state: State, key: Key, duty: Duty) -> list[Chore]:
        hook = hook_of(duty.hands, state.migration)
        since, before = self._doubted.setdefault(key, (duty.now, max(0.0, duty.wall - state.since_wall)))
        waited = duty.now - since
        if hook is None:
            self._results.append(RolledBack(key, HookOutcome(False, _NO_HOOK)))
            return []
        # Wall time only for what another daemon saw: a clock that is set meanwhile ends no hook that is at work.
        due, run = Due(before + waited, waited), duty.board.run(state.run_id)
        begun = state.run_id is not None and hook.begun(state.run_id)
        proof = self._proofs.get(key)
        if proof is None and not begun:
            return self._chore("way", key, duty.now, make_way(duty.hands, state, run, hook=hook, due=due))
        if proof is not None and not begun and due.seconds <= BEGINS_WITHIN:
            again = reread(state, duty.options.rules, duty.board, proof)
            if again.withheld:
                return self._chore("rollback", key, duty.now, withhold(duty.hands, state, again.withheld, hook.command))
            if not again.confirmed:
                return []
        behind = proof.behind if proof is not None else ()
        facts = _facts(state, duty.options.database)
        work = roll_back(duty.hands, state, run, hook=hook, facts=facts, due=due, behind=behind)
        return self._chore("rollback", key, duty.now, work)

    def _chore(self, kind: str, key: Key, now: float, work: Coroutine[object, object, Result | None]) -> list[Chore]:
        if self._take_on(kind, key, now):
            return [Chore(kind, key, work)]
        work.close()
        return []

    def _take_on(self, kind: str, key: Key, now: float) -> bool:
        started = self._started.get((kind, key))
        if (kind, key) in self._busy or (started is not None and now - started < AGAIN_AFTER):
            return False
        self._busy.add((kind, key))
        self._started = {about: at for about, at in self._started.items() if now - at < AGAIN_AFTER}
        self._started[kind, key] = now
        return True

    @property
    def clearing(self) -> frozenset[str]:
        """Rules by which a queue is being cleared."""
        return frozenset(about[0] for kind, about in self._busy if kind == "queue")

    def done(self, chore: Chore, result: Result | None) -> None:
        """Take the result of a chore (None: it failed or has to wait); the next step looks at it."""
        self._busy.discard((chore.kind, chore.key))
        if result is not None:
            self._results.append(result)

    def take_results(self, board: Board, now: float, wall: float, *, bounds: Bounds = USUAL_BOUNDS) -> None:
        """Make what has come of earlier chores part of the states, and tell it."""
        results, self._results = self._results, []
        for result in results:
            if isinstance(result, QueueCleared):
                board.acted(result.rule, now)
                self._take_cleared(result, board, now, wall)
            elif isinstance(result, Stopped):
                self._take_stopped(result, now, wall, bounds)
            elif isinstance(result, WayFree):
                if result.key in self._states:
                    self._proofs[result.key] = Proof(now, result.behind)
            elif state := self._states.get(result.key):
                self._take_rolled_back(result, state, wall)

    def _take_rolled_back(self, result: RolledBack, state: State, wall: float) -> None:
        outcome = result.outcome
        ended = dataclasses.replace(state, phase=TABLE[state.phase, Move.ROLLED], since_wall=wall)
        draft = (
            notices.rollback_withheld(ended, outcome.words, result.command)
            if outcome.withheld
            else notices.rolled_back(
                ended, ok=outcome.ok, words=outcome.words, output=outcome.output, unverified=outcome.unverified
            )
        )
        course = digest(state, self._courses.of(state, wall), wall)
        draft = dataclasses.replace(draft, fields={**draft.fields, **course})
        self._proofs.pop(result.key, None)
        self._doubted.pop(result.key, None)
        ended = dataclasses.replace(ended, because=f"{draft.headline}: {ended.because}")
        self._states[result.key] = ended
        self._ledger.record(draft.kind, ended, draft, wall=wall)
        self._ledger.bar(ended, ended.because)

    def _take_stopped(self, result: Stopped, now: float, wall: float, bounds: Bounds) -> None:
        """A rung counts once it was climbed; who had moved on by then climbs it when it is seen at work again."""
        key = (result.state.migration, result.state.run_id)
        in_vain = any(not ended.gone for ended in result.report.ended)
        self.obedience.acted(key, now, in_vain=in_vain)
        # Cancelled, a client may say its end at once: what was done is told of it all the same.
        state = self._states.get(key) or dataclasses.replace(result.state, phase=Phase.DONE)
        rungs = climbed(result)
        account = cut_off_again(state) if rungs == (result.rung,) else state.account
        state = dataclasses.replace(state, rungs=tuple(dict.fromkeys((*state.rungs, *rungs))), account=account)
        if key in self._states:
            self._states[key] = state
        if draft := stopped(result, wall, bounds.ignored):
            self._ledger.tell(draft, state, wall, once=draft.kind == "cancel_failed")

    def _take_cleared(self, result: QueueCleared, board: Board, now: float, wall: float) -> None:
        """Count the cancel for those whose sessions were ended, and tell it even where they have left meanwhile."""
        asked = self._asked.pop(result.rule)
        for key, state in self._states.items():
            self._states[key] = dataclasses.replace(state, clearing=_without(state.clearing, result.rule))
        acted = [ended.session.run_id for ended in result.report.ended if ended.how in ("cancelled", "terminated")]
        runs = board.roster.runs if board.roster else ()
        names = {state.migration for state in (*self._states.values(), asked) if state.run_id in acted}
        names |= {run.migration for run in runs if run.run_id in acted}
        concerned = [s for s in self._states.values() if s.migration in names and s.phase not in ENDINGS]
        for name in names:
            here = [state.cancels for state in concerned if state.migration == name]
            self._cancelled[name] = (1 + max(here, default=self.cancels_of(name, now)), now)
        for state in concerned:
            key = (state.migration, state.run_id)
            cancels, account = self._cancelled[state.migration][0], cut_off_again(state)
            self._states[key] = dataclasses.replace(state, cancels=cancels, ran=0.0, account=account)
        told = (concerned[0].migration, concerned[0].run_id) if concerned else result.key
        state = self._states.get(told) or dataclasses.replace(asked, phase=Phase.DONE)
        draft = queue_cleared(result.report, asked.because)
        if draft is not None:
            # The same refusal, or patience, at each poll is one piece of news.
            self._ledger.tell(draft, state, wall, once=draft.kind != "cancelled")
            self._released |= state.migration == EVERYONE and draft.kind == "cancelled"

    def needless(self, state: State) -> bool:
        """Whether what happened to the unregistered was said already, by the word of how their queue was cleared."""
        if state.migration != EVERYONE:
            return False
        told, self._released = self._released, False
        return told and state.phase is not Phase.PAUSED

    def forgive(self, migration: str) -> None:
        """A human has forgotten the migration, and its cancels with it."""
        self._cancelled.pop(migration, None)

    def remember(self, recent: Sequence[Done], now: float) -> None:
        """Cancels by guards before this one."""
        for done in recent:
            if done.kind == "cancelled":
                self._cancelled[done.migration] = (self.cancels_of(done.migration, now) + 1, now - done.age)

    def count(self, state: State, now: float) -> None:
        """A run was perhaps cancelled by the guard before."""
        name, key = state.migration, (state.migration, state.run_id)
        cancels = 1 + max(state.cancels, self.cancels_of(name, now))
        self._cancelled[name] = (cancels, now)
        if key in self._states:
            known = self._states[key]
            self._states[key] = dataclasses.replace(known, cancels=cancels, ran=0.0, account=cut_off_again(known))

    def cancels_of(self, migration: str, now: float) -> int:
        """How often a migration of this name was cancelled of late."""
        cancels, at = self._cancelled.get(migration, (0, now))
        return cancels if now - at <= FORGIVEN_AFTER else 0


def _without(rules: tuple[str, ...], rule: str) -> tuple[str, ...]:
    return tuple(each for each in rules if each != rule)


def hook_of(hands: Hands, migration: str) -> Hook | None:
    """The rollback hook of a migration: its own, or everybody's."""
    return entry_for(hands.hooks, migration)


def _facts(state: State, database: str) -> dict[str, object]:
    return {
        "event": "rollback",
        "database": database,
        "migration": state.migration,
        "run_id": state.run_id,
        "because": state.because,
        "since": state.since_wall,
    }
