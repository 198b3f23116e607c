"""class Guard: one database, one step from what was heard to what is done.

A step judges the board, decides for each run, publishes orders and beat in one write, and remembers. Only what has been
published has happened for a migration; so acts that cannot be taken back start after the publication, never before it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from guard.cycle.board import Board
from guard.cycle.chores import QueueCleared, RolledBack, clear_queue, roll_back
from guard.cycle.ledger import Ledger
from guard.cycle.operators import Operators
from guard.cycle.publisher import Bulletin, Publisher
from guard.cycle.values import Chore, Key, Options, Result, Step
from guard.cycle.words import queue_cleared, report
from guard.decide import notices
from guard.decide.decision import Decision, decide
from guard.decide.ladder import FORGIVEN_AFTER, Circumstances
from guard.decide.machine import ENDINGS, TABLE, Move
from guard.errors import NotInstalled, ServerError, WrongServer
from guard.judge.findings import what_would_resume
from guard.model import EVERYONE, Finding, Phase, Run, State
from guard.ports import Hands, Hook, HookOutcome, Observation

LEAD_AGAIN_AFTER = 1.0
AGAIN_AFTER = 1.0
"""Seconds between two beginnings of the same act: one that fails at once must not be tried as fast as it fails."""
ROLLBACK_MARGIN = 120.0
"""Seconds beyond its timeout after which a hook that a former daemon began is no longer waited for."""

_ORDERED = (Phase.ROLLING_BACK, Phase.ABORTED)
"""Phases that a guard which only observes does not enter."""


class Guard:
    """Guards one database. Owns its state; its caller feeds observations and calls `step`."""

    def __init__(self, options: Options, hands: Hands, new_id: Callable[[], str]) -> None:
        self.options = options
        self.hands = hands
        self.board = Board(options.rules)
        self.publisher = Publisher(hands)
        self.states: dict[Key, State] = {}
        self._ledger = Ledger(options.database, new_id)
        self._closed: set[int] = set()
        self._busy: set[tuple[str, Key]] = set()
        self._results: list[Result] = []
        self._started: dict[tuple[str, Key], float] = {}
        self._asked: dict[str, State] = {}
        self._cancelled: dict[str, tuple[int, float]] = {}
        """By migration: how often of late, and when last. A cancelled migration that comes back is a new run."""
        self._operators = Operators()
        self._taken_up = False
        self._saved: tuple[dict[Key, State], int] = ({}, 0)
        self._next_lead = 0.0

    # -- from outside --------------------------------------------------------------------------------------------------

    def put(self, observation: Observation) -> None:
        """Hear what a probe found."""
        self.board.put(observation)

    def done(self, chore: Chore, result: Result | None) -> None:
        """Take the result of a chore (None: it failed or has to wait); the next step looks at it."""
        self._busy.discard((chore.kind, chore.key))
        if result is not None:
            self._results.append(result)

    def reconfigure(self, options: Options, hooks: Mapping[str, Hook]) -> None:
        """Judge by other rules from now on; what a removed rule knew does not linger."""
        self.options = options
        self.hands = dataclasses.replace(self.hands, hooks=hooks)
        self.board = self.board.under(options.rules)

    @property
    def mode(self) -> str:
        """`observing`, `dormant` (nobody migrates: no beats, only the cheap probes go on) or `live`."""
        if self.options.observing:
            return "observing"
        return "dormant" if self.dormant else "live"

    @property
    def dormant(self) -> bool:
        """Nobody migrates; before the first look at who is here nobody knows."""
        roster = self.board.roster
        if roster is None:
            return False
        awake = any(state.phase not in ENDINGS for state in self.states.values())
        coming = any(run.outcome is None and run.run_id not in self._closed for run in roster.runs)
        return not (awake or coming or roster.strangers)

    async def lead(self) -> None:
        """Take the lead and take up every run where it was left. Raises WorldError, Fenced, ServerError."""
        leadership = await self.hands.signal.lead()
        for state in (*leadership.states, *self.hands.journal.states()):
            self._restore(state)
        # Written with its order in the database, perhaps not in the journal: a kill may fall between the two.
        self.hands.journal.add_missing(await self.hands.signal.notices_since(self.hands.journal.last_event_id()))
        self.publisher.led(leadership)
        self._taken_up = True

    async def release(self) -> None:
        """Say in the lease that this guard was stopped on purpose; migrations then wait as for a dead one, in words."""
        if self.publisher.leading:
            await self.publisher.release(tuple(self.states.values()), observing=self.options.observing)

    def _restore(self, state: State) -> None:
        key, known = _key(state), self.states.get(_key(state))
        if state.phase is Phase.DONE:
            self._closed |= {state.run_id} if state.run_id is not None else set()
            self.states.pop(key, None)
        elif state.run_id not in self._closed and (known is None or state.since_wall > known.since_wall):
            self.states[key] = state

    # -- the step ------------------------------------------------------------------------------------------------------

    async def step(self, now: float, wall: float) -> Step:
        """poll -> judge -> decide -> act -> tell, from what was heard until now. Raises Fenced and WorldError."""
        await self._lead_again(now)
        self._take_results(now, wall)
        self.board.judge(now)
        if not self._taken_up:
            # What was decided for these runs before is not known yet; to begin anew could let an aborted one go on.
            return Step(self._next_lead, ())
        self._meet(wall)
        self._hear_operators(wall)
        decisions, due = [], None
        for state in tuple(self.states.values()):
            finding = self.board.finding(state.migration)
            decision = decide(state, finding, self._circumstances(state, now, wall))
            self._adopt(decision, finding, wall)
            decisions.append(decision)
            due = min((at for at in (due, finding.due) if at is not None), default=None)
        await self.publisher.publish(self._bulletin(now, wall), self._ledger)
        self._save()
        return Step(due, tuple(chore for decision in decisions for chore in self._chores(decision, now, wall)))

    async def _lead_again(self, now: float) -> None:
        if self.publisher.leading or now < self._next_lead:
            return
        self._next_lead = now + LEAD_AGAIN_AFTER
        try:
            await self.lead()
        except (ServerError, WrongServer, NotInstalled) as error:
            # A server that fails over is a standby for a while: wrong now, and perhaps right in a moment.
            self.publisher.trouble = str(error)

    def _meet(self, wall: float) -> None:
        """Take up who is new, and let go of what a human has forgotten."""
        roster = self.board.roster
        if roster is None:
            return
        for migration, upto in roster.forgotten:
            for key, state in tuple(self.states.items()):
                if key[0] == migration and (key[1] or 0) <= upto and state.phase is Phase.ABORTED:
                    self._cancelled.pop(migration, None)
                    self._close(dataclasses.replace(state, phase=Phase.DONE, because="forgotten by a human"))
        for run in roster.runs:
            key = (run.migration, run.run_id)
            if run.outcome is None and key not in self.states and run.run_id not in self._closed:
                self._begin("registered", self._newcomer(run, wall))
            known = self.states.get(key)
            if known is not None and known.applied_since_wall is None and (run.rows_done or run.batches_done):
                self._begin("applied", dataclasses.replace(known, applied_since_wall=wall))
        if roster.strangers and (EVERYONE, None) not in self.states:
            names = ", ".join(sorted({session.application_name or session.usename for session in roster.strangers}))
            self._begin("seen", State(EVERYONE, None, Phase.RUNNING, f"seen at work: {names}", wall))

    def _newcomer(self, run: Run, wall: float) -> State:
        cancels = self._cancels_of(run.migration, wall)
        return State(run.migration, run.run_id, Phase.WAITING, "registered", wall, cancels=cancels)

    def _cancels_of(self, migration: str, wall: float) -> int:
        cancels, at = self._cancelled.get(migration, (0, wall))
        return cancels if wall - at <= FORGIVEN_AFTER else 0

    def _begin(self, kind: str, state: State) -> None:
        self.states[_key(state)] = state
        self._ledger.record(kind, state)

    def _close(self, state: State) -> None:
        self._forget(state)
        self._ledger.record("closed", state)

    def _forget(self, state: State) -> None:
        self.states.pop(_key(state), None)
        self._closed |= {state.run_id} if state.run_id is not None else set()

    def _hear_operators(self, wall: float) -> None:
        """Tell when a human's order came into force or ended."""
        if self.board.roster is None:
            return
        for migration, draft in self._operators.news(self.board.roster.operator_orders, wall):
            named = [state for state in self.states.values() if state.migration == migration]
            # A state that is done is not taken up again by a restarted guard.
            nobody = State(migration, None, Phase.DONE, draft.because, wall)
            self._ledger.tell(draft, named[-1] if named else nobody, wall)

    def _circumstances(self, state: State, now: float, wall: float) -> Circumstances:
        soak = self.options.soak
        base = Circumstances(
            now=now,
            wall=wall,
            hook=self._hook(state.migration) is not None,
            auto_rollback=self.options.auto_rollback,
            soak=soak.get(state.migration, soak.get(EVERYONE, 0.0)),
            epoch=self.publisher.epoch + 1,
        )
        held = state.migration in self.hands.gate.held
        facts = self.board.circumstances(state, tuple(self.states.values()), base, acknowledged=held)
        if self.options.observing and (facts.gone or facts.outcome is not None):
            # Nobody is kept aborted here, so an end is an end.
            return dataclasses.replace(facts, aborted_by="")
        return facts

    def _bulletin(self, now: float, wall: float) -> Bulletin:
        states, mode = tuple(self.states.values()), self.mode
        return Bulletin(
            now=now,
            mode=mode,
            beating=not self.dormant,
            states=states,
            rests_for=self.board.rests_on(now),
            report=lambda: report(states, self.board.finding, mode=mode, now=now, wall=wall),
        )

    # -- what follows --------------------------------------------------------------------------------------------------

    def _adopt(self, decision: Decision, finding: Finding, wall: float) -> None:
        """Make a decision our own: state, events, notices."""
        state = decision.state
        if decision.moved_from is not None:
            draft = notices.for_decision(decision, what_would_resume(finding), observing=self.options.observing)
            if self.options.observing and draft is not None and state.phase in _ORDERED:
                self._only_imagine(decision, draft, wall)
                return
            self._ledger.record(draft.kind if draft else state.phase.value, state, draft, wall=wall)
            if state.phase is Phase.ABORTED:
                self._ledger.bar(state, state.because)
        elif decision.became_effective:
            self._ledger.record("effective", state)
        self.states[_key(state)] = state
        if decision.ask_human:
            hook = self._hook(state.migration)
            draft = notices.ask_human(state, decision.ask_human, finding.because, hook.command if hook else ())
            self._ledger.tell(draft, state, wall)
        if state.phase is Phase.DONE:
            self._forget(state)

    def _only_imagine(self, decision: Decision, draft: notices.Draft, wall: float) -> None:
        """Observing: say once what would have been ordered, and go no further than a pause.

        A run that is only thought to be aborted goes on, and must not be found aborted by a guard that enforces.
        """
        kept = decision.state
        if decision.moved_from in (Phase.RUNNING, Phase.STRAINED):
            kept = dataclasses.replace(kept, phase=Phase.PAUSED)
        else:
            kept = self.states[_key(kept)]
        self.states[_key(kept)] = kept
        self._ledger.tell(draft, kept, wall, once=True)

    def _chores(self, decision: Decision, now: float, wall: float) -> list[Chore]:
        """Start what takes time; only a leading guard that may act does, and never the same thing twice at once."""
        state, key, roster = decision.state, _key(decision.state), self.board.roster
        # Without a look at who is here nobody's sessions could be ended, nor proven gone before a rollback.
        if not self.publisher.leading or self.options.observing or roster is None:
            return []
        queues = [rule for rule in self.options.rules if rule.name in decision.clear_queue]
        chores = []
        for rule in queues:
            about = (rule.name, None)
            if self._take_on("queue", about, now):
                self._asked[rule.name] = state
                chores.append(Chore("queue", about, clear_queue(self.hands, key, rule, roster)))
        if state.phase is Phase.ROLLING_BACK and self._take_on("rollback", key, now):
            hook, run = self._hook(state.migration), self.board.run(state.run_id)
            if hook is None or wall - state.since_wall > hook.timeout + ROLLBACK_MARGIN:
                words = "it was begun and its end is not known; the hook may have run"
                self._busy.discard(("rollback", key))
                self._results.append(RolledBack(key, HookOutcome(False, words)))
            else:
                work = roll_back(self.hands, state, run, hook=hook, facts=self._facts(state))
                chores.append(Chore("rollback", key, work))
        return chores

    def _take_on(self, kind: str, key: Key, now: float) -> bool:
        started = self._started.get((kind, key))
        if (kind, key) in self._busy or (started is not None and now - started < AGAIN_AFTER):
            return False
        self._busy.add((kind, key))
        self._started[kind, key] = now
        return True

    def _take_results(self, now: float, wall: float) -> None:
        results, self._results = self._results, []
        for result in results:
            if isinstance(result, QueueCleared):
                self.board.acted(result.rule, now)
                self._take_cleared(result, wall)
            elif state := self.states.get(result.key):
                self._take_rolled_back(result.outcome, state, wall)

    def _take_rolled_back(self, outcome: HookOutcome, state: State, wall: float) -> None:
        ended = dataclasses.replace(state, phase=TABLE[state.phase, Move.ROLLED], since_wall=wall)
        draft = notices.rolled_back(ended, ok=outcome.ok, words=outcome.words, output=outcome.output)
        ended = dataclasses.replace(ended, because=f"{draft.headline}: {ended.because}")
        self.states[_key(ended)] = ended
        self._ledger.record(draft.kind, ended, draft, wall=wall)
        self._ledger.bar(ended, ended.because)

    def _take_cleared(self, result: QueueCleared, wall: float) -> None:
        """Count the cancel for those whose sessions were ended, and tell it even where they have left meanwhile."""
        asked = self._asked.pop(result.rule)
        acted = [ended.session.run_id for ended in result.report.ended if ended.how in ("cancelled", "terminated")]
        runs = self.board.roster.runs if self.board.roster else ()
        names = {state.migration for state in (*self.states.values(), asked) if state.run_id in acted}
        names |= {run.migration for run in runs if run.run_id in acted}
        concerned = [s for s in self.states.values() if s.migration in names and s.phase not in ENDINGS]
        for name in names:
            here = [state.cancels for state in concerned if state.migration == name]
            self._cancelled[name] = (1 + max(here, default=self._cancels_of(name, wall)), wall)
        for state in concerned:
            self.states[_key(state)] = dataclasses.replace(state, cancels=self._cancelled[state.migration][0])
        told = _key(concerned[0]) if concerned else result.key
        state = self.states.get(told) or dataclasses.replace(asked, phase=Phase.DONE)
        draft = queue_cleared(result.report, asked.because)
        if draft is not None:
            # The same refusal at each poll is one piece of news.
            self._ledger.tell(draft, state, wall, once=draft.kind == "cancel_failed")

    def _hook(self, migration: str) -> Hook | None:
        return self.hands.hooks.get(migration) or self.hands.hooks.get(EVERYONE)

    def _facts(self, state: State) -> dict[str, object]:
        return {
            "event": "rollback",
            "database": self.options.database,
            "migration": state.migration,
            "run_id": state.run_id,
            "because": state.because,
            "since": state.since_wall,
        }

    def _save(self) -> None:
        present = (dict(self.states), self.publisher.last_event_id)
        if self._ledger.notices or self._saved != present:
            self.hands.journal.save(tuple(self.states.values()), tuple(self._ledger.notices), present[1])
            self._ledger.notices.clear()
            self._saved = present


def _key(state: State) -> Key:
    return (state.migration, state.run_id)
