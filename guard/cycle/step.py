"""class Guard: one database, one step from what was heard to what is done.

A step judges the board, decides for each run, publishes orders and beat in one write, and remembers. Only what has been
published has happened for a migration; so acts that cannot be taken back start after the publication, never before it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from guard.cycle.acting import Acting, Duty, hook_of
from guard.cycle.adopting import Adopting
from guard.cycle.board import Board
from guard.cycle.courses import Courses
from guard.cycle.drift import Drift, Inquiry, Remembered, inquire, measured
from guard.cycle.fencing import fences_of
from guard.cycle.inquests import Verified
from guard.cycle.lasting import Clocks, shifted
from guard.cycle.ledger import Ledger
from guard.cycle.observing import ORDERED
from guard.cycle.operators import Operators
from guard.cycle.publisher import Bulletin, Publisher
from guard.cycle.runs import Runs, key_of, unheard
from guard.cycle.starving import Starving
from guard.cycle.tape import Tape
from guard.cycle.trouble import ASLEEP, SIGHT, SIGNAL, Trouble
from guard.cycle.values import Chore, Key, Options, Result, Step
from guard.cycle.verifying import KIND as VERIFYING
from guard.cycle.verifying import Verifying
from guard.cycle.words import limits, pacing, readings, report
from guard.decide import notices
from guard.decide.decision import Decision, decide
from guard.decide.ladder import Circumstances, holds_up
from guard.errors import NotInstalled, ServerError, WrongServer
from guard.model import Baseline, Phase, State
from guard.ports import Hands, History, Hook, Observation, Verifier
from guard.tally import Tally

LEAD_AGAIN_AFTER, LEAD_SELDOM_AFTER, SELDOM_AFTER = 1.0, 5.0, 30.0
"""Seconds between two tries to take the lead: at first, and once it has been in vain for so long."""


class Guard:
    """Guards one database. Owns its state; its caller feeds observations and calls `step`."""

    def __init__(self, options: Options, hands: Hands, new_id: Callable[[], str]) -> None:
        self.options = options
        self.hands = hands
        self.board = Board(options.rules)
        self.publisher = Publisher(hands)
        self.tally = Tally()
        self._ledger = Ledger(options.database, new_id, self.tally)
        self._runs = Runs(self._ledger)
        self.states = self._runs.states
        self._courses = Courses()
        self._acting = Acting(self.states, self._ledger, self._courses)
        self._verifying = Verifying(self.states, self._ledger)
        self._operators, self._starving = Operators(), Starving(self._ledger)
        self._mute, self._blind = Trouble(SIGNAL), Trouble(SIGHT)
        self._clocks = Clocks()
        self._tape = Tape()
        self._drift = Drift(options.gathering)
        self._adopting = Adopting(self._ledger, self._runs, self._acting, self._drift, courses=self._courses)
        self._inquiries: list[Inquiry] = []
        self._taken_up = self._recalled = False
        self._anew: set[Key] = set()
        """Runs that were taken up and for which not every rule has spoken yet since the guard leads here."""
        self._saved: tuple[dict[Key, State], int] = ({}, 0)
        self._next_lead = 0.0

    # -- from outside --------------------------------------------------------------------------------------------------

    def put(self, observation: Observation) -> None:
        """Hear what a probe found."""
        self.board.put(observation)

    def done(self, chore: Chore, result: Result | Remembered | Verified | None) -> None:
        """Take the result of a chore (None: it failed or has to wait); the next step looks at it."""
        if chore.kind == VERIFYING or isinstance(result, Verified):
            self._verifying.done(chore.key, result if isinstance(result, Verified) else None)
            return
        if chore.kind == "history" or isinstance(result, Remembered):
            self._drift.learn(chore.key[0], result if isinstance(result, Remembered) else None)
            return
        self._acting.done(chore, result)

    def reconfigure(
        self,
        options: Options,
        hooks: Mapping[str, Hook],
        verifiers: Mapping[str, Verifier] | None = None,
        *,
        histories: Mapping[str, History] | None = None,
    ) -> None:
        """Judge by other rules from now on; what a removed rule knew does not linger."""
        self.options = options
        self._drift.gathering = options.gathering
        self.hands = dataclasses.replace(self.hands, hooks=hooks, verifiers=verifiers or {}, histories=histories or {})
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
        return roster is not None and not self._runs.anybody(roster)

    async def lead(self) -> str:
        """Take the lead and take up every run where it was left; where, in words.

        Raises WorldError, Fenced, ServerError.
        """
        leadership = await self.hands.signal.lead()
        if moved := self.board.moved_to(leadership.home):
            self._runs.moved()
            self._drift.moved()
        for state in leadership.states:
            self._runs.restore(state, even=False)
        for state in self.hands.journal.states():
            self._runs.restore(state, even=not self._taken_up)  # it is written at each step, an event at some
        # Written with its order in the database, perhaps not in the journal: a kill may fall between the two.
        last_event_id = self.hands.journal.last_event_id()
        self.hands.journal.add_missing(await self.hands.signal.notices_since(last_event_id))
        self._operators.remember(await self.hands.signal.told_orders())
        self.publisher.led(leadership)
        if moved or not self._taken_up:
            self._anew |= self.states.keys()
        if not self._taken_up:
            self._drift.recall(self.board, self.hands.kept(), self.states.values())
            self._adopting.take_up(leadership.recent, last_event_id)
        self._taken_up = True
        return leadership.place

    def tell(self, draft: notices.Draft, wall: float) -> None:
        """Have people told what concerns the guard itself, with the next step."""
        self._ledger.announce(draft, wall)

    async def lead_again(self, now: float, wall: float) -> None:
        """Before each step: take the lead where it was lost and it is time to try. Raises Fenced and WorldError.

        It may take seconds, so the step comes after it with a time of its own: it must not take old readings for new.
        """
        self.publisher.leading &= self.hands.signal.usable
        if self.publisher.leading or now < self._next_lead:
            return
        # A server that restarts is back in a moment; one that refuses a password would write down each try.
        lasting = self._mute.lasted(now) >= SELDOM_AFTER
        self._next_lead = now + (LEAD_SELDOM_AFTER if lasting else LEAD_AGAIN_AFTER)
        home = self.board.home
        try:
            place = await self.lead()
        except (ServerError, WrongServer, NotInstalled) as error:
            # A server that fails over is a standby for a while: wrong now, and perhaps right in a moment.
            self.publisher.trouble = str(error)
            return
        if home not in {"", self.board.home}:
            self.tell(notices.moved(place), wall)
            # What was written last on the old primary may not have reached this one.
            for state in self.states.values():
                if state.phase in ORDERED:
                    self._ledger.bar(state, state.because)

    def report(self, now: float, wall: float) -> Mapping[str, object]:
        """What there is to report at this moment, whether or not it can be written: see guard.cycle.words.report."""
        return self._bulletin(now, wall).report()

    async def prune(self, keep_seconds: float) -> None:
        """Cut the trail of events by age, where this guard leads. Raises ServerError."""
        if self.publisher.leading:
            await self.hands.signal.prune(keep_seconds)

    async def release(self) -> None:
        """Say in the lease that this guard was stopped on purpose; migrations then wait as for a dead one, in words."""
        if self.publisher.leading:
            await self.publisher.release(tuple(self.states.values()), observing=self.options.observing)

    # -- the step ------------------------------------------------------------------------------------------------------

    async def step(self, now: float, wall: float) -> Step:
        """poll -> judge -> decide -> act -> tell, from what was heard until now. Raises Fenced and WorldError."""
        try:
            return await self._step(now, wall)
        finally:
            if frame := self._tape.end(self.states):
                self.hands.record(frame)

    async def _step(self, now: float, wall: float) -> Step:
        if step := self._clocks.set_by(now, wall):
            self.states.update({key: shifted(state, step) for key, state in self.states.items()})
        self._acting.take_results(self.board, now, wall, bounds=self.options.bounds)
        self._verifying.take_results(now, wall)
        self._follow_drift(now, wall)
        self._tape.begin(self.board, self.options, self.states, now=now, wall=wall)
        self.board.judge(now)
        if not self._taken_up:
            # What was decided for these runs before is not known yet; to begin anew could let an aborted one go on.
            self._say_trouble(now, wall)
            self.hands.journal.add_missing(tuple(self._ledger.notices))
            self._ledger.notices.clear()
            return Step(self._next_lead, ())
        duty = Duty(self.options, self.hands, self.board, now, wall)
        self._adopting.begin(duty)
        self._runs.meet(self.board, self._acting, now, wall)
        self._hear_operators(wall)
        self._starving.hear(self.board.roster, self.states, wall)
        self._tape.deciding()
        decisions, due = self._decide(duty)
        for state, draft in self._drift.unmeasured(self.board, self.states):
            self._ledger.tell(draft, state, wall)
        await self.publisher.publish(self._bulletin(now, wall), self._ledger)
        self._say_trouble(now, wall)
        self._save()
        # To look back asks nothing of a migration: so may a guard that observes, or that does not lead at the moment.
        asking = (Chore("history", (inquiry.of, None), inquire(inquiry)) for inquiry in self._inquiries)
        checks = self._verifying.chores(decisions, self.options, self.hands.checker, now)
        # Only a guard that leads may act, and never one that observes.
        acts = (chore for decision in decisions * self._may_act for chore in self._acting.chores(decision, duty))
        return Step(due, (*asking, *checks, *acts))

    def _decide(self, duty: Duty) -> tuple[list[Decision], float | None]:
        """Decide for each run; also when the next of them may come out otherwise by itself."""
        decisions, due = list[Decision](), None
        self._acting.obedience.keep(self.states)
        self._courses.keep(self.states)
        for state in tuple(self.states.values()):
            finding = self.board.finding(state.migration)
            heard = finding.settled and self.board.heard(state.migration)
            if heard:
                self._anew.discard(key_of(state))
            state = measured(self.board, state)  # noqa: PLW2901
            self._courses.follow(state, finding, self.board, now=duty.now, wall=duty.wall)
            facts = self._circumstances(state, duty)
            decision = decide(state, finding, facts)
            self._adopting.adopt(decision, finding, duty)
            self._adopting.say(decision, facts)
            self._tape.decided(state, facts, decision, self.states.get(key_of(state), decision.state))
            self._adopting.settle(decision, duty, heard=heard)
            if holds_up(state, finding, facts):
                self._adopting.intend(decision, finding, duty, may_act=self._may_act)
            if not facts.overridden:
                self._adopting.remind(decision, finding, duty)
            decisions.append(decision)
            due = min((at for at in (due, finding.due) if at is not None), default=None)
        return decisions, due

    @property
    def _may_act(self) -> bool:
        return self.publisher.leading and not self.options.observing

    def _follow_drift(self, now: float, wall: float) -> None:
        """Before anything is judged: what it is measured against."""
        if not self._taken_up:
            return  # runs under way have baselines of their own, and nobody knows of them yet
        states, held = self.states.values(), not self.options.observing
        for draft in self._drift.follow(self.board, states, self._runs.closed, now=now, wall=wall, held=held):
            self._ledger.announce(draft, wall)
        if kept := self._drift.to_keep(self.board, now):
            self.hands.keep(kept)
        self._inquiries = self._drift.inquiries(self.board, self.hands.histories, wall)

    def _say_trouble(self, now: float, wall: float) -> None:
        awake, trouble = not self.dormant, self.publisher.trouble
        if not self._recalled:
            self._recalled = True
            for each in (self._mute, self._blind):
                each.recall(self.hands.told_last(each.kinds), now, wall)
        if not self._taken_up and self.board.roster is None and not self.hands.journal.states():
            # Nobody is known to migrate, as far as anybody can know: so a server that is away at our start may stay so.
            awake = self._mute.lasted(now) >= ASLEEP
        # What a guard before this one told is over only once this one knows that it is.
        news = [self._mute.news(trouble, now, awake=awake)] if trouble or self._taken_up else []
        if not trouble and (self.board.blind or self.board.roster is not None):
            # A server that cannot be reached shows nobody either: one piece of news, and not two.
            news.append(self._blind.news(self.board.blind, now, awake=awake))
        for draft in news:
            if draft is not None:
                self._ledger.notify(draft, wall)

    def _hear_operators(self, wall: float) -> None:
        """Tell when a human's order came into force or ended."""
        roster = self.board.roster
        for migration, draft in self._operators.news(roster.operator_orders, roster.server_wall) if roster else ():
            named = [state for state in self.states.values() if state.migration == migration]
            # A state that is done is not taken up again by a restarted guard.
            nobody = State(migration, None, Phase.DONE, draft.because, wall)
            self._ledger.tell(draft, named[-1] if named else nobody, wall)

    def _circumstances(self, state: State, duty: Duty) -> Circumstances:
        wall = duty.wall
        base = Circumstances(
            wall=wall,
            hook=hook_of(self.hands, state.migration) is not None,
            auto_rollback=self.options.fires_in_soak(state.migration),
            soak=self.options.soak_of(state.migration),
            unverified=self._verifying.pending(state, self.options),
            epoch=self.publisher.epoch + 1,
            bounds=self.options.bounds,
        )
        held = state.migration in self.hands.gate.held
        facts = self.board.circumstances(state, tuple(self.states.values()), base, acknowledged=held)
        if self.options.observing and (facts.gone or facts.outcome is not None):
            # Nobody is kept aborted here, so an end is an end.
            return dataclasses.replace(facts, aborted_by="")
        if self.options.observing:
            return facts  # nobody was told to pause
        return self._acting.obedience.look(state, facts, board=self.board, options=self.options, now=duty.now)

    def _bulletin(self, now: float, wall: float) -> Bulletin:
        states = tuple(unheard(state) if key in self._anew else state for key, state in self.states.items())
        mode, orders = self.mode, self._operators.known
        troubles, blind = dict(self.hands.troubles()), self.board.blind
        fences, in_flight = fences_of(self.board, states), self._acting.obedience.in_flight
        return Bulletin(
            now=now,
            mode=mode,
            beating=not self.dormant,
            states=states,
            rests_for=self.board.rests_on(now),
            report=lambda: (
                report(states, self.board.finding, orders, troubles, mode=mode, now=now, wall=wall)
                | {"limits": limits(self.board.rules), "pacing": pacing(self.board.rules, *self.options.expected)}
                | {"readings": readings(self.board.rules, self.board.samples, now=now, wall=wall)}
                | {"in_flight": in_flight, "fences": fences, "longest_fence": self.options.bounds.longest_fence}
                | ({"cannot_see": blind} if blind else {})
            ),
            troubles=troubles,
            learnt=frozenset(of for of, known in self.board.baselines.items() if isinstance(known, Baseline)),
        )

    def _save(self) -> None:
        present = (dict(self.states), self.publisher.last_event_id)
        if self._ledger.notices or self._saved != present:
            self.hands.journal.save(tuple(self.states.values()), tuple(self._ledger.notices), present[1])
            self._ledger.notices.clear()
            self._saved = present
