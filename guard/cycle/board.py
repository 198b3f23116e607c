"""The newest samples, who is here, and what the rules make of both. It decides nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from guard.decide.bounds import FLAP_BREAKER
from guard.decide.ladder import Circumstances, fence_left
from guard.decide.machine import ENDINGS
from guard.judge.baselines import NONE_YET, Known, goes_by_baseline, question
from guard.judge.findings import concerns, find
from guard.judge.verdicts import Streak, judge
from guard.model import (
    EVERYONE,
    Ask,
    Fence,
    Finding,
    NoData,
    OperatorOrder,
    Phase,
    Reading,
    Roster,
    Rule,
    Run,
    Sample,
    Silence,
    State,
    Verdict,
)
from guard.ports import Observation

_AT_WORK = (Phase.RUNNING, Phase.STRAINED, Phase.PAUSED, Phase.SOAKING, Phase.ROLLING_BACK)
OF_ALL_HOSTS = frozenset({"database.primaries"})
"""Sensors that do not depend on which host leads."""
ROSTER = "roster"
"""The sensor that holds the reason while the roster cannot be read."""
GONE_AFTER = 3.0
"""Seconds that a registered session must be missing before its migration counts as vanished."""
MISSING_KEPT = 1000
"""Of so many that are missing it is remembered since when: most have been let go of long ago."""
POOLED_GONE_AFTER = 900.0
"""The same behind a pooler, where only the client's own reports can be seen."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What a board knows beside the newest samples and the roster: with it another one judges on as this would."""

    streaks: Mapping[str, Streak]
    verdicts: Mapping[str, Verdict]
    acted_at: Mapping[str, float]
    rested_at: float | None


class Board:
    """Newest samples by sensor, the newest roster, and each rule's memory."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self.samples: dict[str, Sample] = {}
        self.roster: Roster | None = None
        self.verdicts: dict[str, Verdict] = {}
        self.questions = {rule.name: question(rule) for rule in rules if goes_by_baseline(rule)}
        """Of the rules whose limits speak of a baseline."""
        self.baselines: dict[str, Known] = {}
        """What is known, by question."""
        self._streaks: dict[str, Streak] = {}
        self._acted_at: dict[str, float] = {}
        self._missing_since: dict[int | None, float] = {}
        self._rested_at: float | None = None
        self._judged_at = 0.0
        self.home = ""
        """Which server on which timeline the samples are of; empty before the guard has led."""

    def put(self, observation: Observation) -> None:
        """Take what a probe brought; an older sample never replaces a newer one."""
        for sample in observation.samples:
            known = self.samples.get(sample.sensor)
            if known is None or sample.taken_at >= known.taken_at:
                self.samples[sample.sensor] = sample
        if observation.roster is not None:
            self.roster = observation.roster
            self.samples.pop(ROSTER, None)

    def moved_to(self, home: str) -> bool:
        """The guard leads on this server and timeline now: what was read on another one says nothing about it.

        Whether it was another one before.

        What is known of all hosts together still holds, and so does what a rule has counted: it asks for more time.
        """
        if moved := self.home not in {"", home}:
            self.samples = {name: sample for name, sample in self.samples.items() if name in OF_ALL_HOSTS}
            self.roster, self._missing_since, self._rested_at = None, {}, None
        self.home = home
        return moved

    def heard(self, migration: str) -> bool:
        """Whether every source that can stop a migration has answered at all, be it with a silence."""
        return all(
            rule.sensor in self.samples or rule.no_data is NoData.IGNORE or not rule.stops
            for rule in self.rules
            if concerns(rule, migration)
        )

    @property
    def blind(self) -> str:
        """Why nobody can see who is here; empty where one can."""
        sample = self.samples.get(ROSTER)
        return sample.why if isinstance(sample, Silence) else ""

    def acted(self, rule: str, now: float) -> None:
        """A queue was cleared by this rule: what was read before says nothing about a need to act again."""
        self._acted_at[rule] = now

    @property
    def resting(self) -> bool | None:
        """Whether no migration is there; None where nobody knows who is."""
        return None if self.roster is None else not _anybody(self.roster)

    def quiet(self, states: Iterable[State]) -> bool:
        """Whether nobody is known to migrate, nor any of these runs to go on."""
        runs = self.roster.runs if self.roster else ()
        coming = any(run.outcome is None for run in runs)
        return not coming and self.resting is not False and all(state.phase in ENDINGS for state in states)

    def memory(self) -> Memory:
        """What is remembered now."""
        return Memory(dict(self._streaks), dict(self.verdicts), dict(self._acted_at), self._rested_at)

    def recall(self, memory: Memory) -> None:
        """Go on with what was remembered, here or elsewhere."""
        self._streaks, self.verdicts = dict(memory.streaks), dict(memory.verdicts)
        self._acted_at, self._rested_at = dict(memory.acted_at), memory.rested_at

    def judge(self, now: float) -> None:
        """Judge every rule on the newest sample."""
        self._judged_at = now
        resting = bool(self.resting)
        if resting:
            self._rested_at = now
        for rule in self.rules:
            streak, sample = self._streaks.get(rule.name, Streak()), self.samples.get(rule.sensor)
            if self._of_rest(rule, sample, now):
                if resting and rule.name in self.verdicts:
                    continue
                sample = None
            verdict, after = judge(rule, streak, sample, now, known=self._known(rule))
            self.verdicts[rule.name] = self._once(verdict)
            self._streaks[rule.name] = after

    def _known(self, rule: Rule) -> Known:
        return self.baselines.get(self.questions.get(rule.name, ""), NONE_YET)

    def asking(self) -> dict[str, Rule]:
        """The questions to which a baseline is wanted, each with a rule that asks it."""
        return {self.questions[rule.name]: rule for rule in self.rules if rule.name in self.questions}

    def _of_rest(self, rule: Rule, sample: Sample | None, now: float) -> bool:
        """Whether a reading is old only because nobody migrated, so that its source was asked more seldom.

        That is no silence of the source: a run that comes then waits for a fresh reading, not for a rule to be well.
        """
        if sample is None or self._rested_at is None or sample.taken_at > self._rested_at:
            return False
        heard = isinstance(sample, Reading) or sample.abstains
        return heard and now >= sample.taken_at + rule.stale_after

    def _once(self, verdict: Verdict) -> Verdict:
        acted_at = self._acted_at.get(verdict.rule)
        if verdict.ask is Ask.CANCEL and acted_at is not None and (verdict.taken_at or 0.0) <= acted_at:
            return dataclasses.replace(verdict, ask=Ask.PAUSE)
        return verdict

    def under(self, rules: Sequence[Rule]) -> Board:
        """The same world under other rules: unchanged rules keep their memory, removed ones leave nothing behind."""
        board = Board(rules)
        kept = {rule.name for rule in set(rules) & set(self.rules)}
        # An answer to a question that was asked otherwise says nothing about the new limits.
        sensors = {rule.sensor for rule in rules if _question(rule) in {_question(known) for known in self.rules}}
        board.samples = {sensor: sample for sensor, sample in self.samples.items() if sensor in sensors}
        board.roster, board.home = self.roster, self.home
        asked = set(board.questions.values())
        board.baselines = {of: known for of, known in self.baselines.items() if of in asked}
        board._missing_since = self._missing_since
        board._rested_at, board._judged_at = self._rested_at, self._judged_at
        board._acted_at = {name: at for name, at in self._acted_at.items() if name in kept}
        board._streaks = {name: streak for name, streak in self._streaks.items() if name in kept}
        return board

    def finding(self, migration: str) -> Finding:
        """What all rules that concern a migration, and are not muted, ask for it."""
        muted = {order.rule for order in self._orders("mute", migration)}
        return find(
            self.verdicts[rule.name]
            for rule in self.rules
            if rule.name in self.verdicts and rule.name not in muted and concerns(rule, migration)
        )

    def rests_on(self, now: float) -> float:
        """Age of the oldest reading that the present verdicts rest on, in seconds."""
        taken = [verdict.taken_at for verdict in self.verdicts.values() if verdict.taken_at is not None]
        return max(0.0, now - min(taken)) if taken else 0.0

    def run(self, run_id: int | None) -> Run | None:
        """The roster's word on a run."""
        runs = self.roster.runs if self.roster else ()
        return next((run for run in runs if run.run_id == run_id), None)

    @property
    def server_wall(self) -> float:
        """What the server's clock said when this was judged: by its last word, and the time that has passed since."""
        roster = self.roster
        return roster.server_wall + max(0.0, self._judged_at - roster.taken_at) if roster else 0.0

    def fence(self, run_id: int | None) -> Fence | None:
        """The section in which a run must not be cancelled now. Without its session it is in none."""
        run = self.run(run_id)
        if run is None or run.fence is None or run.session is None or run.outcome is not None:
            return None
        return run.fence if fence_left(run.fence, self.server_wall) else None

    def circumstances(
        self, state: State, others: Sequence[State], base: Circumstances, *, acknowledged: bool
    ) -> Circumstances:
        """Everything beside the rules that the decision on one run needs."""
        run = self.run(state.run_id)
        aborts = self._orders("abort", state.migration)
        fence = self.fence(state.run_id)
        overridden = bool(self._orders("override", state.migration))
        # Under an override the client has read the epoch and goes on all the same.
        keeps_to_it = run is not None and run.acknowledged_epoch >= state.epoch > 0 and not overridden
        return Circumstances(
            pid=run.session.pid if run is not None and run.session is not None else None,
            member_pids=tuple(session.pid for session in run.members) if run is not None else (),
            wall=base.wall,
            hook=base.hook,
            auto_rollback=base.auto_rollback,
            soak=base.soak,
            epoch=base.epoch,
            other_candidates=sum(
                other.phase in _AT_WORK for other in others if (other.migration, other.run_id) != _key(state)
            ),
            overridden=overridden,
            bounds=base.bounds,
            unverified=base.unverified,
            pardoned=any(order.rule == FLAP_BREAKER for order in self._orders("mute", state.migration)),
            aborted_by=f"aborted by {aborts[0].owner}: {aborts[0].reason}" if aborts else "",
            outcome=self._outcome(state, run),
            gone=self._gone(state, run),
            # A migration holds no lock of the pause while it is fenced, so to have that proves nothing.
            acknowledged=(acknowledged and fence is None) or keeps_to_it,
            fenced=fence.what if fence else "",
            heard=keeps_to_it,
        )

    def orders(self, kind: str) -> tuple[OperatorOrder, ...]:
        """Operators' orders of a kind that are in force."""
        orders = self.roster.operator_orders if self.roster else ()
        return tuple(order for order in orders if order.kind == kind)

    def freed(self, run: Run) -> bool:
        """Whether an operator's override lets a run go on, whatever the guard has ordered."""
        return bool(self._orders("override", run.migration))

    def _orders(self, kind: str, migration: str) -> tuple[OperatorOrder, ...]:
        return tuple(order for order in self.orders(kind) if order.migration in (EVERYONE, migration))

    def _outcome(self, state: State, run: Run | None) -> str | None:
        if state.run_id is None or run is None or run.outcome == "gone":
            return None
        return run.outcome

    def _gone(self, state: State, run: Run | None) -> bool:
        """Whether the migration has vanished. Only rosters can tell: one old look, however old, is no proof."""
        roster = self.roster
        if roster is None:
            return False
        if run is not None and run.outcome == "gone":
            return True
        if _is_here(state, run, roster):
            self._missing_since.pop(state.run_id, None)
            return False
        since = self._missing_since.setdefault(state.run_id, roster.taken_at)
        if len(self._missing_since) > MISSING_KEPT:
            del self._missing_since[next(iter(self._missing_since))]
        return roster.taken_at - since >= GONE_AFTER


def _anybody(roster: Roster) -> bool:
    """Whether a migration is there, registered or not."""
    here = (run.session is not None or run.pooled for run in roster.runs if run.outcome is None)
    return bool(roster.strangers) or any(here)


def _is_here(state: State, run: Run | None, roster: Roster) -> bool:
    if state.run_id is None:
        return bool(roster.strangers)
    if run is None:
        return False
    heard_of = run.pooled and roster.server_wall - run.last_seen_wall < POOLED_GONE_AFTER
    return run.session is not None or heard_of


def _question(rule: Rule) -> tuple[object, ...]:
    return (rule.sensor, rule.query, rule.json_path, rule.scale, rule.traffic, rule.min_traffic)


def _key(state: State) -> tuple[str, int | None]:
    return (state.migration, state.run_id)
