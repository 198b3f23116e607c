"""Makes a decision the guard's own: the new state, what is written down of it, and what people are told.

It publishes nothing and starts nothing; an act that a decision calls for comes after the publication.
"""

from __future__ import annotations

from guard.cycle import disobeyed
from guard.cycle.acting import Acting, Duty, hook_of
from guard.cycle.courses import Courses
from guard.cycle.details import Scene, detailed, reminding
from guard.cycle.drift import Drift
from guard.cycle.fencing import Fencing
from guard.cycle.flapping import Flapping
from guard.cycle.interrupted import Interrupted
from guard.cycle.ledger import Ledger
from guard.cycle.observing import ORDERED, imagine, would_cancel
from guard.cycle.reminders import Moment, remind
from guard.cycle.runs import Runs, key_of
from guard.cycle.turning import turned, turning
from guard.decide import notices
from guard.decide.decision import Decision
from guard.decide.ladder import Circumstances
from guard.judge.findings import what_would_resume
from guard.model import EVERYONE, Finding, Phase, State
from guard.ports import Done


class Adopting:
    """What it is given is the guard's own."""

    def __init__(self, ledger: Ledger, runs: Runs, acting: Acting, drift: Drift, *, courses: Courses) -> None:
        self._ledger = ledger
        self._runs = runs
        self._states = runs.states
        self._acting = acting
        self._drift = drift
        self._courses = courses
        self._flapping = Flapping()
        self._fencing = Fencing()
        self._interrupted = Interrupted(runs.states, ledger)
        self._recent: tuple[Done, ...] = ()
        """What guards before this one have done of late, until the next step."""

    def take_up(self, recent: tuple[Done, ...], last_event_id: int) -> None:
        """What guards before this one have done and left undone; the journal knows the trail up to that event."""
        self._recent = recent
        self._interrupted.take_up(recent, last_event_id)

    def begin(self, duty: Duty) -> None:
        """Before anything is decided in a step: what has lasted by now is told."""
        recent, self._recent = self._recent, ()
        self._acting.remember(recent, duty.now)
        self._flapping.remember(recent, duty.now)
        for each in tuple(self._states.values()):
            self._turn(each, duty)
        for key, draft in self._flapping.overdue(duty.now):
            if (state := self._states.get(key)) is not None:
                scene = self._scene(state, duty.board.finding(state.migration), duty)
                self._ledger.record("lasts", state, detailed(draft, scene), wall=duty.wall)

    def _turn(self, state: State, duty: Duty) -> None:
        """Hold whom it only would have held, or hold nobody any more: the mode is another than when it looked last."""
        observing = duty.options.observing
        after = turned(state, observing=observing, wall=duty.wall)
        if after is None:
            return
        self._states[key_of(state)] = after
        if state.phase is Phase.PAUSED and state.account.observed is not None:
            self._flapping.drop(key_of(state))
            finding = duty.board.finding(state.migration)
            draft = turning(after, what_would_resume(finding), observing=observing)
            told = draft if observing else draft and detailed(draft, self._scene(after, finding, duty))
            self._ledger.record("resumed" if observing else "paused", after, told, wall=duty.wall)

    def adopt(self, decision: Decision, finding: Finding, duty: Duty) -> None:
        """State, events, notices."""
        state, observing, wall = decision.state, duty.options.observing, duty.wall
        if decision.moved_from is not None:
            draft = notices.for_decision(decision, what_would_resume(finding), observing=observing)
            if observing and draft is not None and state.phase in ORDERED:
                imagine(decision, draft, self._states, self._ledger, wall=wall)
                return
            self._enter(decision, draft, finding, duty)
        elif decision.became_effective:
            self._ledger.record("effective", state)
        self._states[key_of(state)] = state
        if decision.moved_from is Phase.WAITING:
            self._drift.begins(key_of(state))
        if decision.ask_human:
            hook = hook_of(duty.hands, state.migration)
            draft = notices.ask_human(state, decision.ask_human, decision.due_because, hook.command if hook else ())
            draft = detailed(draft, self._scene(state, finding, duty))
            self._ledger.tell(notices.in_observe_mode(draft) if observing else draft, state, wall)
        waits = self._fencing.news(decision, finding.because, duty.board)
        if waits is not None and not observing:
            self._ledger.tell(waits, state, wall)
        if state.phase is Phase.DONE:
            self._runs.forget(state)

    def say(self, decision: Decision, facts: Circumstances) -> None:
        """How a run keeps to its pause, where people are to know."""
        for mark in decision.news:
            self._ledger.tell(disobeyed.news(mark, decision.state, facts), decision.state, facts.wall)

    def _enter(self, decision: Decision, draft: notices.Draft | None, finding: Finding, duty: Duty) -> None:
        """Write down a new phase."""
        state = decision.state
        kind = draft.kind if draft else state.phase.value
        needless = draft is not None and self._acting.needless(state)
        told = self._flapping.damped(None if needless else draft, state)
        told = told and detailed(told, self._scene(state, finding, duty))
        self._ledger.record(kind, state, told, wall=duty.wall)
        if state.phase in ORDERED:
            # A rollback goes on without the guard, and an override suspends its orders: neither may let it go on.
            due = "a rollback is due: " if state.phase is Phase.ROLLING_BACK else ""
            self._ledger.bar(state, due + state.because)

    def settle(self, decision: Decision, duty: Duty, *, heard: bool) -> None:
        """What the guard before may have done to a run, told once that can be known."""
        if self._interrupted.resolve(decision, duty.wall, heard=heard):
            self._acting.count(decision.state, duty.now)

    def intend(self, decision: Decision, finding: Finding, duty: Duty, *, may_act: bool) -> None:
        """What is about to be cleared is written down before it is; by who only observes, told."""
        if may_act:
            self._interrupted.intend(decision, self._acting.clearing)
        elif duty.options.observing and (draft := would_cancel(decision, finding)):
            self._ledger.tell(draft, decision.state, duty.wall, once=True)

    def remind(self, decision: Decision, finding: Finding, duty: Duty) -> None:
        """Tell again what lasts too long; who only observes holds nobody up."""
        key = key_of(decision.state)
        if duty.options.observing or key not in self._states:
            return
        moment = Moment(duty.now, duty.wall, duty.options.bounds, duty.options.loads)
        self._states[key], drafts = remind(self._states[key], finding, moment, what_would_resume(finding))
        for draft in drafts:
            told = reminding(draft, self._scene(self._states[key], finding, duty))
            self._ledger.tell(told, self._states[key], duty.wall)

    def _scene(self, state: State, finding: Finding, duty: Duty) -> Scene:
        board, kinds = duty.board, ("override", "pause")
        orders = (order for kind in kinds for order in board.orders(kind))
        return Scene(
            before=self._states[key_of(state)],
            state=state,
            finding=finding,
            course=self._courses.of(state, duty.wall),
            orders=tuple(order for order in orders if order.migration in (EVERYONE, state.migration)),
            now=duty.now,
            wall=duty.wall,
            server_wall=board.server_wall,
            shortest_pause=duty.options.bounds.shortest_pause,
            observing=duty.options.observing,
        )
