"""The checks of the data: asked once before a run begins and once after it has ended well, and what came of them.

A run waits for its answers, and so does the end of its soak, but never for longer than they may take: what could not be
answered is told. What follows from an answer is decided in guard.decide.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from guard.cycle.inquests import Verified, When, inquire, unanswered
from guard.cycle.ledger import Ledger
from guard.cycle.values import Chore, Key, Options
from guard.decide import notices
from guard.decide.decision import Decision
from guard.judge.checks import IN_A_REASON, judge_answer
from guard.model import Check, Found, Phase, State
from guard.ports import Checker

KIND: Final = "verify"
"""Of its chores."""
MOST_FIELDS: Final = 5
"""Checks of which a message shows more rows than its reason does; the record has all that were kept."""
GIVEN_UP_AFTER: Final = 20.0
"""Seconds after which answers are waited for no longer, whatever keeps them from coming."""


@dataclass(frozen=True, slots=True)
class _Asking:
    """Questions under way; *since* in monotonic seconds."""

    when: When
    since: float
    checks: tuple[Check, ...]


class Verifying:
    """Follows the runs of one guard. `states` and `ledger` are the guard's own."""

    def __init__(self, states: dict[Key, State], ledger: Ledger) -> None:
        self._states = states
        self._ledger = ledger
        self._asking: dict[Key, _Asking] = {}
        self._answered: list[Verified] = []

    def pending(self, state: State, options: Options) -> bool:
        """Whether a run's answers, of before it or of after it, are still to come."""
        if state.run_id is None or not options.checks_of(state.migration):
            return False
        return not (state.before if state.phase is Phase.WAITING else state.after)

    def chores(
        self, decisions: Iterable[Decision], options: Options, checker: Checker | None, now: float
    ) -> Iterator[Chore]:
        """What is to be asked now."""
        for state in (decision.state for decision in decisions if decision.to_verify):
            key, checks = (state.migration, state.run_id), options.checks_of(state.migration)
            if key in self._asking:
                continue
            when: When = "before" if state.phase is Phase.WAITING else "after"
            self._asking[key] = _Asking(when, now, checks)
            yield Chore(KIND, key, inquire(checker, key, when, checks))

    def done(self, key: Key, verified: Verified | None) -> None:
        """Take the answers (None: asking failed); the next step looks at them."""
        asking = self._asking.get(key)
        if asking is not None:
            self._answered.append(verified or unanswered(key, asking.when, asking.checks, "asking failed"))

    def take_results(self, now: float, wall: float) -> None:
        """Make the answers part of the states, and tell them."""
        for key, asking in tuple(self._asking.items()):
            if now - asking.since > GIVEN_UP_AFTER:
                why = f"no answer within {GIVEN_UP_AFTER:g} s"
                self._answered.append(unanswered(key, asking.when, asking.checks, why))
        answered, self._answered = self._answered, []
        for verified in answered:
            asking_for = self._asking.pop(verified.key, None)
            state = self._states.get(verified.key)
            # What is answered when the run has begun without it says nothing of how it was before.
            if asking_for is not None and state is not None and _awaits(state) == verified.when:
                self._learn(state, verified, asking_for.checks, wall)

    def _learn(self, state: State, verified: Verified, checks: tuple[Check, ...], wall: float) -> None:
        before = verified.when == "before"
        earlier = {found.check: found for found in state.before}
        judged = [
            (*judge_answer(check, answer, earlier.get(check.name), before=before), answer)
            for check, answer in zip(checks, verified.answers, strict=True)
        ]
        found = tuple(one for one, _, _ in judged)
        known = (found, state.after) if before else (state.before, found)
        state = dataclasses.replace(state, before=known[0], after=known[1])
        self._states[verified.key] = state
        answers = [
            {"check": one.check, "holds": one.holds, "said": said, "offending": list(answer.offending)}
            for one, said, answer in judged
        ]
        said_of = [(one, said) for one, said, _ in judged]
        told = [answer for _, _, answer in judged if len(answer.offending) > IN_A_REASON]
        rows = {f"rows of {answer.check}": "; ".join(answer.offending) for answer in told[:MOST_FIELDS]}
        failed, unknown = _words(said_of, holds=False), _words(said_of, holds=None)
        draft = notices.checked(failed, unknown, state, rows=rows, before=before)
        more = {"checks": {"when": verified.when, "answers": answers}}
        if draft is None:
            self._ledger.record("checked", state, wall=wall, more=more)
        else:
            # One that waits for long is asked anew before it begins; the same news again is none.
            self._ledger.tell(draft, state, wall, once=before, more=more)


def _words(judged: list[tuple[Found, str]], *, holds: bool | None) -> tuple[str, ...]:
    return tuple(said for found, said in judged if found.holds is holds)


def _awaits(state: State) -> When | None:
    if state.phase is Phase.WAITING and not state.before:
        return "before"
    return "after" if state.phase is Phase.SOAKING and not state.after else None
