"""What a guard with other options would have decided on the frames of a past one; pure.

With the options of the recorded guard it gives what was decided then. With others it can only go by the readings that
were taken: a run that had been paused at another time would have made other ones. It sees no act and no client, so
what came of these (a cancel, an acknowledgement, a rollback's end) is taken from the frames as far as it fits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from guard.cycle.board import Board
from guard.cycle.frames import (
    Body,
    baselines_from_dict,
    changed_state,
    facts_from_dict,
    fingerprint,
    memory_from_dict,
    rule_print,
    sample_from_list,
)
from guard.cycle.observing import imagined
from guard.cycle.values import Key, Options
from guard.decide.decision import decide
from guard.decide.ladder import breached_before
from guard.model import EVERYONE, Finding, OperatorOrder, Phase, Roster, Run, State
from guard.ports import Observation
from guard.records import state_from_dict

_NOT_DECIDED = ("cancels", "ran", "applied_since_wall", "baselines", "before", "after")
"""What others than a decision change of a state, whatever its phase."""
_AFRESH = ("start", "thin")
"""Why a frame is whole where the guard before it knew nothing, or was not listened to."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A run entered a phase."""

    wall: float
    migration: str
    run_id: int | None
    phase: Phase
    because: str


@dataclass(slots=True)
class Side:
    """One of two guards: its states, and how it came to them."""

    states: dict[Key, State] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)
    queues: list[tuple[float, str, str]] = field(default_factory=list)
    """(wall, migration, rule) for each time that a queue was found which is to be cleared."""
    asking: dict[Key, tuple[str, ...]] = field(default_factory=dict)

    def enter(self, key: Key, state: State, wall: float) -> None:
        """Take a state, and note where it is a new phase."""
        known = self.states.get(key)
        self.states[key] = state
        if known is None or known.phase is not state.phase:
            self.turns.append(Turn(wall, state.migration, state.run_id, state.phase, state.because))

    def ask(self, key: Key, rules: tuple[str, ...], wall: float) -> None:
        """Note the queues that were not asked to be cleared a moment ago."""
        self.queues += [(wall, key[0], rule) for rule in rules if rule not in self.asking.get(key, ())]
        self.asking[key] = rules

    def forget(self, key: Key) -> None:
        """Let go of a run."""
        self.states.pop(key, None)
        self.asking.pop(key, None)


@dataclass(frozen=True, slots=True)
class Played:
    """Two courses of the same time, from one wall time to another."""

    recorded: Side
    other: Side
    began: float
    ended: float
    same_options: bool
    """Whether the frames were written under the same options, as far as these bear on decisions."""
    configurations: int
    """Under how many configurations the frames were written."""
    missing: float
    """Seconds of which the frames were lost."""
    differs: str
    """The first state that is another one; empty where there is none."""
    baseless: tuple[str, ...] = ()
    """Rules that ask for a baseline of which nothing was recorded: past their other limits they count as unknown."""


class Replay:
    """Takes frames in their order. Options of the recorded guard give exactly its decisions."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._board = Board(options.rules)
        self._recorded, self._other = Side(), Side()
        self._facts: dict[Key, Body] = {}
        self._mutes: tuple[OperatorOrder, ...] = ()
        self._resting: bool | None = None
        self._number: int | None = None
        self._began = self._wall = 0.0
        self._configs: set[str] = set()
        self._measured: set[str] = set()
        self._missing = 0.0
        self._differs = ""

    def play(self, frames: Iterable[Body]) -> Played:
        """All of them. Raises ValueError, KeyError or TypeError where they are of a version that cannot be read."""
        for frame in frames:
            self._play(frame)
        same = self._configs == {fingerprint(self._options)}
        asked = self._board.questions
        return Played(
            self._recorded,
            self._other,
            self._began,
            self._wall,
            same,
            len(self._configs),
            self._missing,
            self._differs,
            tuple(name for name, of in asked.items() if of not in self._measured),
        )

    def _play(self, frame: Body) -> None:
        whole = frame.get("whole")
        expected = self._number is not None and frame["n"] == self._number + 1
        if not expected and whole is None:
            return  # what was lost before it is told by the next whole one
        if self._number is None:
            self._began = frame["w"]
        elif not expected and whole is not None and whole["why"] != "start":
            self._missing += frame["w"] - self._wall
        self._number, self._wall = frame["n"], frame["w"]
        if whole is not None:
            self._take_whole(whole, afresh=not expected or whole["why"] in _AFRESH)
        self._put(frame, whole)
        self._board.judge(frame["t"])
        closed = {(migration, run_id) for migration, run_id in frame.get("closed", ())}
        ended = {(entry["id"][0], entry["id"][1]) for entry in frame.get("d", ()) if "after" in entry}
        # What a human has forgotten was let go before anything was decided.
        for key in closed - ended:
            self._forget(key)
        if "d" in frame:
            self._decide(frame)
        for key in closed & ended:
            self._forget(key)

    def _take_whole(self, whole: Body, *, afresh: bool) -> None:
        self._configs.add(whole["config"])
        states = [state_from_dict(each) for each in whole["states"]]
        before, now = self._recorded.states, {(state.migration, state.run_id): state for state in states}
        self._facts = {key: facts for key, facts in self._facts.items() if key not in now}
        self._recorded.states = now
        self._recorded.asking, self._other.asking = {}, {}  # the frames tell anew who is asked for
        if not afresh:
            if whole["why"] == "moved":
                self._board.recall(dataclasses.replace(self._board.memory(), rested_at=None))
            return
        same = [rule.name for rule in self._options.rules if whole["rules"].get(rule.name) == rule_print(rule)]
        self._board.recall(memory_from_dict(whole["memory"], same))
        # A guard that was started anew takes up what was written down: also where that is less than it knew.
        ours = {key: state for key, state in self._other.states.items() if not _alike(state, before.get(key))}
        self._other.states = {key: ours.get(key, state) for key, state in now.items()}

    def _put(self, frame: Body, whole: Body | None) -> None:
        samples = tuple(sample_from_list(each) for each in frame.get("s", ()))
        if whole is not None:
            self._board.samples.clear()
            self._board.baselines.clear()
            self._mutes = ()
        if "m" in frame:
            self._mutes = tuple(_mute(rule, migration) for rule, migration in frame["m"])
        if "r" in frame:
            self._resting = frame["r"]
        if "a" in frame:
            self._board.recall(dataclasses.replace(self._board.memory(), acted_at=frame["a"]))
        if "b" in frame:
            self._board.baselines = baselines_from_dict(frame["b"])
            self._measured |= self._board.baselines.keys()
        self._board.put(Observation(samples))
        self._board.roster = None if self._resting is None else self._roster(resting=self._resting)

    def _roster(self, *, resting: bool) -> Roster:
        somebody = Run(0, EVERYONE, None, self._wall, self._wall, pooled=True)
        return Roster(() if resting else (somebody,), (), self._mutes, (), 0.0, self._wall)

    def _decide(self, frame: Body) -> None:
        said: Mapping[Key, Body] = {(entry["id"][0], entry["id"][1]): entry for entry in frame["d"]}
        for key, entry in said.items():
            self._change(key, entry)
            self._facts[key] = entry.get("facts", self._facts.get(key, {}))
            self._follow(key, entry)
        for key in tuple(self._other.states):
            self._step(key)
        for key, state in self._recorded.states.items():
            if not self._differs and not _alike(self._other.states.get(key, state), state):
                self._differs = _difference(state, self._other.states[key], self._wall)
        for side in (self._recorded, self._other):
            for key, state in tuple(side.states.items()):
                if state.phase is Phase.DONE:
                    side.forget(key)

    def _change(self, key: Key, entry: Body) -> None:
        """What others than a decision have changed, or who has come."""
        if "new" in entry:
            state = state_from_dict(entry["new"])
            self._recorded.enter(key, state, self._wall)
            self._other.enter(key, self._other.states.get(key, state), self._wall)
        elif change := entry.get("set"):
            before, ours = self._recorded.states[key], self._other.states.get(key)
            self._recorded.enter(key, changed_state(before, change), self._wall)
            if ours is not None:
                self._other.enter(key, self._changed(before, ours, change), self._wall)

    def _changed(self, before: State, ours: State, change: Body) -> State:
        if _alike(ours, before):
            return changed_state(ours, change)
        if "phase" in change:
            # The end of a rollback, say, where there is one to be ended.
            return changed_state(ours, change) if ours.phase is before.phase else ours
        kept: dict[str, Any] = {name: change[name] for name in _NOT_DECIDED if name in change}
        if "applied_since_wall" in kept:
            kept["breached_before"] = breached_before(ours, self._finding(ours))
        return changed_state(ours, kept)

    def _follow(self, key: Key, entry: Body) -> None:
        if "queue" in entry:
            self._recorded.ask(key, tuple(entry["queue"]), self._wall)
        if "after" in entry:
            self._recorded.enter(key, changed_state(self._recorded.states[key], entry["after"]), self._wall)

    def _finding(self, state: State) -> Finding:
        return self._board.finding(state.migration)

    def _step(self, key: Key) -> None:
        before, options = self._other.states[key], self._options
        facts = dataclasses.replace(
            facts_from_dict(self._facts.get(key, {}), self._wall),
            auto_rollback=options.fires_in_soak(key[0]),
            soak=options.soak_of(key[0]),
            bounds=options.bounds,
        )
        decision = decide(before, self._finding(before), facts)
        self._other.ask(key, decision.clear_queue, self._wall)
        after = imagined(decision, before) if options.observing else decision.state
        self._other.enter(key, after, self._wall)

    def _forget(self, key: Key) -> None:
        """Let go of a run that is over for both, or was forgotten by a human."""
        self._recorded.forget(key)
        ours = self._other.states.get(key)
        if ours is None or ours.phase is not Phase.SOAKING:
            self._other.forget(key)
            self._facts.pop(key, None)


def _mute(rule: str, migration: str) -> OperatorOrder:
    return OperatorOrder(0, "mute", migration, "", "", 0.0, rule=rule)


def _alike(one: State, other: State | None) -> bool:
    """But for the account: it decides nothing, and frames of an earlier version have none."""
    return other is not None and dataclasses.replace(one, account=other.account) == other


def _difference(theirs: State, ours: State, wall: float) -> str:
    names = [each.name for each in dataclasses.fields(State) if getattr(theirs, each.name) != getattr(ours, each.name)]
    values = "; ".join(f"{name}: {getattr(theirs, name)!r} became {getattr(ours, name)!r}" for name in names)
    return f"at {wall:.3f}, {theirs.migration}: {values}"
