"""Judging and deciding as one: long random histories against a plain model, and what no history may ever lead to."""

from __future__ import annotations

import dataclasses
import itertools
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.decide.bounds import Bounds, Flap
from guard.decide.decision import Decision, decide
from guard.decide.ladder import Circumstances
from guard.decide.machine import ORDERS, TABLE, Move
from guard.judge.findings import find
from guard.judge.verdicts import Streak, judge
from guard.model import Finding, OrderKind, Phase, Reading, Rule, Sample, Silence, State
from tests.fakes import WALL, make_rule
from tests.plain import Heard, PlainRule, PlainRun

STEPS = int(os.environ.get("JUDGEMENT_STEPS", "100000"))
"""In all; more of them find rarer things."""
PARTS_OF_IT = 4
"""So that both cores of a machine have their share."""
RULES = (
    make_rule("lag", warn="> 2s", pause="> 5s for 3s", resume="< 3s for 4s"),
    make_rule("queue", pause="", cancel=">= 3s", resume="< 1s for 2s", no_data="hold"),
    make_rule("errors", pause="> 1s for 2s", rollback="> 5s for 3s", resume="<= 1s for 3s"),
    make_rule("slow", warn="> 5s", pause="> 8s", resume="< 4s", no_data="ignore"),
)
HASTY = (
    *RULES[:2],
    make_rule("errors", pause="> 1s for 9s", rollback="> 5s", resume="<= 1s for 3s"),
    make_rule("slow", warn="> 1s", pause="> 8s for 20s", resume="< 4s", no_data="ignore"),
)
"""The same with limits whose order in time is the other way round."""
OVER = (Phase.DONE, Phase.ABORTED, Phase.ROLLING_BACK)
WHEN_A_HOOK_ENDS = (Phase.ROLLING_BACK, TABLE[Phase.ROLLING_BACK, Move.ROLLED])
"""The only step in which no rule has a say."""


@dataclass
class Judged:
    """The rules under test with all their memory, and one run."""

    rules: Sequence[Rule] = RULES
    state: State = field(default_factory=lambda: State("m", 1, Phase.WAITING, "", WALL))
    streaks: dict[str, Streak] = field(default_factory=dict)
    samples: dict[str, Sample] = field(default_factory=dict)

    def find(self, now: float) -> Finding:
        verdicts = []
        for rule in self.rules:
            verdict, self.streaks[rule.name] = judge(
                rule, self.streaks.get(rule.name, Streak()), self.samples.get(rule.name), now
            )
            verdicts.append(verdict)
        return find(verdicts)

    def step(self, now: float, facts: Circumstances) -> tuple[Finding, Decision]:
        finding = self.find(now)
        decision = decide(self.state, finding, facts)
        self.state = decision.state
        return finding, decision

    def copy(self) -> Judged:
        return Judged(self.rules, self.state, dict(self.streaks), dict(self.samples))


# -- against the plain model -------------------------------------------------------------------------------------------


class History:
    """One random life of a run, told to both; most of it in order, as lives are."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        rules = RULES if self._in(2) else HASTY
        self.judged, self.run = Judged(rules), PlainRun()
        self.plain = {rule.name: PlainRule(rule) for rule in rules}
        self.heard: dict[str, Heard | None] = dict.fromkeys(self.plain)
        self.now, self.moods = 0.0, dict.fromkeys(self.plain, "calm")
        bounds = self.chance.choice([Bounds(), Bounds(Flap(2, 100.0)), Bounds(Flap(3, 300.0), shortest_pause=20.0)])
        self.facts = Circumstances(
            WALL, bounds=bounds, hook=self._in(2), auto_rollback=self._in(2), soak=self.chance.choice([0.0, 60.0])
        )
        self.ended: str | None = None

    def _in(self, times: int) -> bool:
        return self.chance.randrange(times) == 0

    def hear(self) -> None:
        """New samples from those sensors that speak."""
        if self.run.phase is Phase.SOAKING and self._in(8):
            self.moods["errors"] = "worse"  # what a change does is often seen only after it
        for name in self.plain:
            if self._in(9):
                self.moods[name] = self.chance.choice([*5 * ["calm"], "bad", "worse", "mixed", "silent", "hung"])
            mood, taken = self.moods[name], self.now - self.chance.choice([0.0, 0.0, 0.5])
            known = self.heard[name]
            if mood == "hung" or (known is not None and taken < known.taken):
                continue
            part = self.chance.choice([None, None, 0.5, 6.0, 9.0]) if mood == "silent" else None
            values = {"calm": [0.0, 0.5], "bad": [1.5, 6.0], "worse": [9.0], "mixed": [0.0, 2.5, 3.0, 4.0, 9.0]}
            value = None if mood == "silent" else self.chance.choice(values[mood])
            self.heard[name] = Heard(self.now, taken, value, part)
            self.judged.samples[name] = (
                Silence(name, "no answer", taken, part) if value is None else Reading(name, value, taken)
            )

    def circumstances(self) -> Circumstances:
        """What else is the case at this moment."""
        if self.ended is None and self._in(70):
            self.ended = self.chance.choice(["done", "done", "failed", "aborted"])
        return dataclasses.replace(
            self.facts,
            wall=WALL + self.now,
            other_candidates=int(self._in(6)),
            overridden=self._in(6),
            pardoned=self._in(25),
            aborted_by="aborted by ada" if self._in(300) else "",
            gone=self._in(300),
            outcome=self.ended,
            acknowledged=self._in(2),
        )

    def step(self) -> tuple[Phase, Phase]:
        """One step of both, which must agree; from which phase to which it led."""
        seconds = self.chance.choice([0.25, 1.0, 1.0, 1.0, 2.0, 5.0, 40.0 if self._in(4) else 1.0])
        self.now += seconds
        self.hear()
        if not self.run.applied and self.run.phase in {Phase.RUNNING, Phase.STRAINED} and self._in(3):
            self._apply()
        before, facts = self.run.phase, self.circumstances()
        finding, decision = self.judged.step(self.now, facts)
        said = {name: plain.hear(self.now, self.heard[name]) for name, plain in self.plain.items()}
        found = {v.rule: (v.ask.name, v.well, v.settled, v.harms) for v in finding.verdicts}
        assert found == {name: (each.ask, each.well, each.settled, each.harms) for name, each in said.items()}
        assert decision.state.phase is self.run.step(said, facts, seconds)
        assert bool(decision.state.stays) is self.run.kept
        assert bool(decision.clear_queue) == (
            self.run.phase is not Phase.DONE and any(each.ask == "CANCEL" for each in said.values())
        )
        if decision.clear_queue and self._in(2):
            self._cancelled()
        return before, self.run.phase

    def _apply(self) -> None:
        self.run.applied = True
        self.judged.state = dataclasses.replace(self.judged.state, applied_since_wall=WALL + self.now)

    def _cancelled(self) -> None:
        self.run.cancels, self.run.at_work = self.run.cancels + 1, 0.0
        self.judged.state = dataclasses.replace(self.judged.state, cancels=self.run.cancels, ran=0.0)


@pytest.mark.timeout(600)  # seconds on a machine that has little else to do
@pytest.mark.parametrize("part", range(PARTS_OF_IT))
def test_a_hundred_thousand_random_steps_are_judged_and_decided_as_a_plain_model_says(part: int) -> None:
    chance, seen = random.Random(part), set()  # noqa: S311 - the same steps each time
    history, after = History(chance), Phase.WAITING
    for number in range(STEPS // PARTS_OF_IT):
        if after in OVER and chance.randrange(5) == 0:
            history = History(chance)
        try:
            before, after = history.step()
        except AssertionError as error:
            raise AssertionError(
                f"step {number} of part {part}, {history.now} s after the run came: {error}"
            ) from error
        seen.add((before, after))
    # Each transition of the table is reached by some history, and no other by any.
    assert seen == {(phase, target) for (phase, _), target in TABLE.items()} - {WHEN_A_HOOK_ENDS}


# -- what no history leads to ------------------------------------------------------------------------------------------

VALUES = st.sampled_from([0.0, 0.5, 1.5, 2.5, 4.0, 6.0, 9.0])
PARTS = st.none() | VALUES
Moment = tuple[float, tuple[float | None, ...]]
MOMENTS = st.lists(
    st.tuples(st.sampled_from([0.5, 1.0, 1.0, 3.0, 8.0]), st.tuples(*[st.none() | VALUES for _ in RULES])), max_size=25
)
"""(seconds since the last, a value or a silence for each rule)."""


def live(judged: Judged, moments: Sequence[Moment], facts: Circumstances) -> float:
    now = 0.0
    for seconds, values in moments:
        now += seconds
        put(judged, values, now)
        judged.step(now, dataclasses.replace(facts, wall=WALL + now))
    return now


def put(judged: Judged, values: Sequence[float | None], now: float, parts: Sequence[float | None] = ()) -> None:
    for rule, value, part in itertools.zip_longest(judged.rules, values, parts):
        judged.samples[rule.name] = (
            Silence(rule.name, "no answer", now, part) if value is None else Reading(rule.name, value, now)
        )


@settings(max_examples=150)
@given(MOMENTS, st.permutations(RULES))
def test_the_order_of_the_rules_in_the_file_changes_no_decision(moments: list[Moment], order: list[Rule]) -> None:
    facts = Circumstances(WALL, hook=True)
    one, other = Judged(), Judged(order)
    live(one, moments, facts)
    index = [RULES.index(rule) for rule in order]
    live(other, [(seconds, tuple(values[i] for i in index)) for seconds, values in moments], facts)
    assert one.state == other.state


@settings(max_examples=150)
@given(MOMENTS, st.lists(st.tuples(st.integers(0, 24), st.integers(0, len(RULES) - 1), VALUES), max_size=8))
def test_a_history_that_was_worse_anywhere_never_asks_for_less_and_is_never_better(
    moments: list[Moment], worse: list[tuple[int, int, float]]
) -> None:
    measured = [(seconds, tuple(value or 0.0 for value in values)) for seconds, values in moments]
    harder = [(seconds, list(values)) for seconds, values in measured]
    for step, rule, more in worse:
        if step < len(harder):
            harder[step][1][rule] += more
    mild, grave, now = Judged(), Judged(), 0.0
    for (seconds, values), (_, more_values) in zip(measured, harder, strict=True):
        now += seconds
        put(mild, values, now)
        put(grave, more_values, now)
        before, after = mild.find(now), grave.find(now)
        assert after.ask >= before.ask
        assert after.well <= before.well
        assert [a.ask >= b.ask for b, a in zip(before.verdicts, after.verdicts, strict=True)] == [True] * len(RULES)


@settings(max_examples=200)
@given(MOMENTS, st.tuples(*[VALUES for _ in RULES]), st.sets(st.sampled_from(RULES), min_size=1), PARTS)
def test_what_turns_worse_or_unknown_at_the_end_never_lets_a_stopped_migration_go_on(
    moments: list[Moment], last: tuple[float, ...], unknown: set[Rule], part: float | None
) -> None:
    judged, facts = Judged(), Circumstances(WALL, hook=True)
    now = live(judged, moments, facts) + 1.0
    other = judged.copy()
    facts = dataclasses.replace(facts, wall=WALL + now)
    put(judged, last, now)
    # A rule that the file tells to ignore silence is not there while it is silent: that is what was asked for.
    deaf = {rule for rule in unknown if rule.no_data != "ignore"}
    put(other, [None if rule in deaf else value for rule, value in zip(RULES, last, strict=True)], now, [part] * 4)
    was = ORDERS[judged.state.phase]
    judged.step(now, facts)
    other.step(now, facts)
    if was >= OrderKind.PAUSE <= ORDERS[judged.state.phase]:
        assert ORDERS[other.state.phase] >= OrderKind.PAUSE


@settings(max_examples=150)
@given(MOMENTS, st.lists(st.tuples(st.sampled_from([0.5, 1.0, 8.0]), st.tuples(*[PARTS for _ in RULES])), max_size=20))
def test_silence_alone_never_cancels_nor_rolls_back_nor_aborts_whatever_came_before(
    moments: list[Moment], silences: list[tuple[float, tuple[float | None, ...]]]
) -> None:
    judged, facts = Judged(), Circumstances(WALL, hook=True, auto_rollback=True)
    judged.state = dataclasses.replace(judged.state, cancels=2)
    now = live(judged, moments, facts)
    before = judged.state.phase
    for seconds, parts in silences:
        now += seconds
        put(judged, [None] * len(RULES), now, parts)
        _, decision = judged.step(now, dataclasses.replace(facts, wall=WALL + now))
        assert not decision.clear_queue
        assert decision.ask_human == ""
        if before not in {Phase.ROLLING_BACK, Phase.ABORTED}:
            assert ORDERS[decision.state.phase] < OrderKind.ABORT


@settings(max_examples=100)
@given(MOMENTS, st.integers(0, 1))
def test_a_silence_that_may_pause_does_so_within_its_time_whatever_came_before(
    moments: list[Moment], which: int
) -> None:
    judged, facts = Judged(), Circumstances(WALL)
    rule = (RULES[0], RULES[2])[which]
    now = live(judged, moments, facts)
    for _ in range(int(rule.no_data_for) + 1):
        now += 1.0
        put(judged, [None if each is rule else 0.0 for each in RULES], now)
        judged.step(now, dataclasses.replace(facts, wall=WALL + now))
    assert ORDERS[judged.state.phase] >= OrderKind.PAUSE
