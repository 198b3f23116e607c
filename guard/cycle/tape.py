"""What the flight recorder is given at each step: all that the step judged and decided on. It keeps nothing itself.

A frame says what has changed since the frame before; a *whole* one, now and then, says all, so that a reader can begin
there. While nobody migrates one in five minutes is enough. Its keys:

    n      number, without gaps but where some were lost     t, w   monotonic and wall time
    s      new samples                                       r      whether nobody was there (null: not known)
    m      muted rules                                       a      when a queue was cleared, by rule
    d      runs: id, new or set (what others than a decision changed), facts, after (what was decided), queue
    b      baselines, or why there is none, by question     p      progress by run id: rows and batches done
    closed runs that were let go                             whole  why, config, rules, memory, states, limits

Two of them are for readers alone, and nothing is decided by them: `p`, and the `limits` of a whole frame.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from guard.cycle.board import ROSTER, Board
from guard.cycle.frames import (
    baselines_to_dict,
    changes,
    facts_to_dict,
    fingerprint,
    limits_to_dict,
    memory_to_dict,
    rule_print,
    sample_to_list,
)
from guard.cycle.values import Key, Options
from guard.decide.decision import Decision
from guard.decide.ladder import Circumstances
from guard.judge.baselines import Known
from guard.model import Sample, State
from guard.ports import Frame
from guard.records import state_to_dict

WHOLE_EVERY = 300.0
"""Seconds between two frames that stand by themselves: so much is lost to a reader where a disk was full."""
AT_REST_EVERY = 300.0
"""Seconds between two frames while nobody migrates."""


@dataclass(slots=True)
class _Told:
    """What the frames so far have said."""

    samples: dict[str, Sample] = field(default_factory=dict)
    acted: Mapping[str, float] = field(default_factory=dict)
    mutes: list[list[str]] = field(default_factory=list)
    baselines: dict[str, Known] = field(default_factory=dict)
    resting: bool | None = None
    states: dict[Key, State] = field(default_factory=dict)
    facts: dict[Key, Circumstances] = field(default_factory=dict)
    queues: dict[Key, tuple[str, ...]] = field(default_factory=dict)
    progress: dict[str, list[int]] = field(default_factory=dict)


class Tape:
    """Follows the steps of one guard; times are monotonic seconds, `wall` Unix time."""

    def __init__(self) -> None:
        self._number = 0
        self._board: Board | None = None
        self._home = ""
        self._skipped = False
        self._whole_at = float("-inf")
        self._told = _Told()
        self._body: dict[str, object] | None = None
        self._runs: list[dict[str, object]] = []
        self._urgent = False

    def begin(self, board: Board, options: Options, states: Mapping[Key, State], *, now: float, wall: float) -> None:
        """Just before the board judges."""
        self._body, self._urgent = None, False
        if board.quiet(states.values()) and now - self._whole_at < AT_REST_EVERY:
            self._skipped = True
            return
        why = self._why_whole(board, now)
        memory = board.memory()
        body: dict[str, object] = {"n": self._number, "t": now, "w": wall}
        if why:
            self._told, self._whole_at = _Told(), now
            body["whole"] = {
                "why": why,
                "config": fingerprint(options),
                "rules": {rule.name: rule_print(rule) for rule in options.rules},
                "memory": memory_to_dict(memory),
                "states": [state_to_dict(state) for state in states.values()],
                "limits": [limits_to_dict(rule, board.questions.get(rule.name, "")) for rule in options.rules],
            }
            self._told.states = dict(states)
        self._board, self._home, self._skipped = board, board.home, False
        told = self._told
        new = [s for name, s in board.samples.items() if name != ROSTER and told.samples.get(name) is not s]
        told.samples = dict(board.samples)
        if new:
            body["s"] = [sample_to_list(sample) for sample in new]
        if memory.acted_at != told.acted:
            told.acted = body["a"] = dict(memory.acted_at)
        mutes = [[order.rule or "", order.migration] for order in board.orders("mute")]
        if mutes != told.mutes:
            told.mutes = body["m"] = mutes
        if board.baselines != told.baselines:
            told.baselines = dict(board.baselines)
            body["b"] = baselines_to_dict(board.baselines)
        if why or board.resting is not told.resting:
            told.resting = body["r"] = board.resting
        if moved := self._progress(board, states):
            body["p"] = moved
        self._body = body

    def _progress(self, board: Board, states: Mapping[Key, State]) -> dict[str, list[int]]:
        """How far each run is, of those that have got on."""
        runs = [run for run in board.roster.runs if (run.migration, run.run_id) in states] if board.roster else []
        now = {str(run.run_id): [run.rows_done, run.batches_done] for run in runs}
        told, self._told.progress = self._told.progress, now
        return {run: done for run, done in now.items() if told.get(run) != done}

    def _why_whole(self, board: Board, now: float) -> str:
        if self._board is None:
            return "start"
        if self._skipped:
            return "thin"
        if board is not self._board:
            return "rules"
        if board.home != self._home:
            return "moved"
        return "again" if now - self._whole_at >= WHOLE_EVERY else ""

    def deciding(self) -> None:
        """Each run is decided on in this step: one that is not spoken of below, as before."""
        if self._body is not None:
            self._runs = []
            self._body["d"] = self._runs

    def decided(self, before: State, facts: Circumstances, decision: Decision, after: State) -> None:
        """One run: its state before, what else was known, and its state after."""
        if self._body is None:
            return
        key, told = (before.migration, before.run_id), self._told
        entry: dict[str, object] = {"id": list(key)}
        known, now_known = told.states.get(key), state_to_dict(before)
        if known is None:
            entry["new"] = now_known
        elif known != before:
            entry["set"] = changes(state_to_dict(known), now_known)
        timeless = dataclasses.replace(facts, wall=0.0)
        if told.facts.get(key) != timeless:
            entry["facts"] = facts_to_dict(timeless)
        if after != before:
            entry["after"] = changes(now_known, state_to_dict(after))
        if told.queues.get(key, ()) != decision.clear_queue:
            entry["queue"] = list(decision.clear_queue)
        told.states[key], told.facts[key], told.queues[key] = after, timeless, decision.clear_queue
        self._urgent |= after.phase is not before.phase
        if len(entry) > 1:
            self._runs.append(entry)

    def end(self, states: Mapping[Key, State]) -> Frame | None:
        """The frame of this step; None where nothing of it is to be kept."""
        body, self._body = self._body, None
        if body is None:
            return None
        told = self._told
        keys = tuple(told.states)
        if closed := [key for key in keys if key not in states]:
            body["closed"] = [list(key) for key in closed]
            for key in closed:
                told.states.pop(key)
                told.facts.pop(key, None)
                told.queues.pop(key, None)
        self._number += 1
        return Frame(float(str(body["w"])), body, keys, whole="whole" in body, urgent=self._urgent)
