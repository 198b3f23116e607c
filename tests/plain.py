"""What judge and decide promise, said once more in the plainest way: by looking through all that was ever heard.

Slow, without memory beside the history itself, and written without their code, so that two different ways of counting
must come to the same answer. It knows absolute limits above (`>`) only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from guard.decide.ladder import Circumstances
from guard.model import Condition, NoData, Phase, Rule

SOFT, HARD = ("warn", "pause"), ("cancel", "rollback")


@dataclass(frozen=True)
class Heard:
    """What a rule had to go by at one moment: a value (or None) that was taken, with what of it is certain."""

    now: float
    taken: float
    value: float | None
    at_least: float | None = None


@dataclass(frozen=True)
class Said:
    """A plain verdict; `ask` is the name of what it asks for."""

    ask: str
    well: bool
    settled: bool
    harms: bool | None
    known: bool


@dataclass
class PlainRule:
    """One rule with everything that it ever heard."""

    rule: Rule
    past: list[Heard] = field(default_factory=list)
    stopped: bool = False

    def hear(self, now: float, sample: Heard | None) -> Said:
        """Judge once more at *now*, when this is the newest sample (None: nothing was ever heard)."""
        self.past.append(self._effective(now, sample))
        last = self.past[-1]
        if last.value is None:
            said = self._of_silence(last)
            self.stopped = self.stopped or said.ask == "PAUSE"
        else:
            said = self._of_value(last, last.value)
            self.stopped = said.ask in {"HOLD", "PAUSE", "CANCEL", "ROLLBACK"}
        return said

    def _effective(self, now: float, sample: Heard | None) -> Heard:
        if sample is None:
            return Heard(now, now, None)
        if now - sample.taken < self.rule.stale_after:
            return Heard(now, sample.taken, sample.value, sample.at_least)
        since = sample.taken if sample.value is None else sample.taken + self.rule.stale_after
        return Heard(now, since, None)

    def _limit(self, name: str) -> Condition | None:
        found: Condition | None = getattr(self.rule, name)
        return found

    @property
    def _stops(self) -> bool:
        return any(self._limit(name) for name in ("pause", *HARD))

    def _soft_since(self, limit: Condition) -> float | None:
        """Since when it is breached, where silence neither ends nor proves a breach."""
        since = None
        for heard in reversed(self.past):
            if heard.value is not None and not _holds(limit, heard.value):
                break
            if heard.value is not None or (heard.at_least is not None and _holds(limit, heard.at_least)):
                since = heard.taken
        return since

    def _unbroken_since(self, condition: Condition) -> float | None:
        """Since when readings, and nothing else, have satisfied it without a gap."""
        since = None
        for heard in reversed(self.past):
            if heard.value is None or not _holds(condition, heard.value):
                break
            if since is not None and since >= heard.taken + self.rule.stale_after:
                break
            since = heard.taken
        return since

    def _of_value(self, last: Heard, value: float) -> Said:
        ask = "PROCEED"
        for name in (*SOFT, *HARD):
            limit = self._limit(name)
            if limit is None or not _holds(limit, value):
                continue
            begun = self._soft_since(limit) if name in SOFT else self._unbroken_since(limit)
            assert begun is not None
            if (last.now if name in SOFT else last.taken) >= begun + limit.duration:
                ask = name.upper()
        calm = self._unbroken_since(self.rule.resume)
        well = not self._stops or (calm is not None and last.now >= calm + self.rule.resume.duration)
        if ask in {"PROCEED", "WARN"} and self.stopped and not well:
            ask = "HOLD"
        harms = self.rule.rollback is not None and _holds(self.rule.rollback, value)
        return Said(ask, well, settled=True, harms=harms, known=True)

    def _of_silence(self, last: Heard) -> Said:
        rule = self.rule
        deaf = rule.no_data is NoData.IGNORE or not self._stops
        since = last.taken
        for heard in reversed(self.past):
            if heard.value is not None:
                break
            since = heard.taken
        served = last.now >= since + rule.no_data_for
        ask = "PROCEED" if deaf else "PAUSE" if rule.no_data is NoData.PAUSE and served else "HOLD"
        limit = rule.pause
        if limit is not None and last.at_least is not None and _holds(limit, last.at_least):
            begun = self._soft_since(limit)
            ask = "PAUSE" if begun is not None and last.now >= begun + limit.duration else ask
        settled = deaf or rule.no_data is NoData.HOLD or served
        return Said(ask, deaf and ask != "PAUSE", settled, None if rule.rollback else False, known=False)


def _holds(condition: Condition, value: float) -> bool:
    [term] = condition.terms
    limit = term.limit.value
    return {">": value > limit, ">=": value >= limit, "<": value < limit, "<=": value <= limit}[term.op]


@dataclass
class PlainRun:
    """Where one registered run stands."""

    phase: Phase = Phase.WAITING
    applied: bool = False
    cancels: int = 0
    at_work: float = 0.0
    """Seconds since the last cancel."""
    good_before: frozenset[str] = frozenset()
    suspects: set[str] = field(default_factory=set)
    soak_until: float = 0.0
    paused_at: list[float] = field(default_factory=list)
    pardoned_at: float = 0.0
    kept: bool = False

    def step(self, said: Mapping[str, Said], facts: Circumstances, seconds: float) -> Phase:
        """Take one step, *seconds* after the last."""
        if self.phase in {Phase.RUNNING, Phase.STRAINED}:
            self.at_work += seconds
        if self.phase in {Phase.RUNNING, Phase.STRAINED, Phase.PAUSED, Phase.SOAKING}:
            self.suspect(said)
        if facts.pardoned or facts.overridden:
            self.pardoned_at, self.kept = facts.wall, False
        before, self.phase = self.phase, self._next(said, facts)
        if before is not self.phase:
            self.kept = self.phase is Phase.PAUSED and self._too_often(facts)
        if before is Phase.WAITING and self.phase in {Phase.RUNNING, Phase.STRAINED}:
            good = (name for name, each in said.items() if each.known and each.ask == "PROCEED" and not each.harms)
            self.good_before = frozenset(good)
        if before is not Phase.PAUSED and self.phase is Phase.PAUSED and self.at_work > 600:
            self.cancels = 0
        if before is not self.phase and self.phase is Phase.SOAKING:
            self.soak_until = facts.wall + facts.soak
        return self.phase

    def _too_often(self, facts: Circumstances) -> bool:
        self.paused_at.append(facts.wall)
        flap = facts.bounds.flap
        # What a human pardons at this very moment is pardoned; this pause is the first one after it.
        counted = [at for at in self.paused_at[:-1] if at > self.pardoned_at]
        recent = [at for at in counted if flap and facts.wall - at < flap.seconds]
        return flap is not None and len(recent) + 1 >= flap.pauses

    def suspect(self, said: Mapping[str, Said]) -> None:
        """Keep in mind which breach may have begun before anything was applied."""
        for name, each in said.items():
            if each.harms is False:
                self.suspects.discard(name)
            elif not self.applied:
                self.suspects.add(name)

    def _may_roll_back(self, said: Mapping[str, Said], facts: Circumstances) -> bool:
        over = self.phase is Phase.SOAKING or facts.outcome is not None
        if not facts.hook or facts.overridden or facts.other_candidates or (over and not facts.auto_rollback):
            return False
        due = {name for name, each in said.items() if each.ask == "ROLLBACK"}
        return self.applied and bool((due & self.good_before) - self.suspects)

    def _next(self, said: Mapping[str, Said], facts: Circumstances) -> Phase:
        phase, asks = self.phase, {each.ask for each in said.values()}
        if phase in {Phase.ROLLING_BACK, Phase.ABORTED, Phase.DONE}:
            return phase
        begun = phase is not Phase.WAITING
        back = begun and self._may_roll_back(said, facts)
        if phase is Phase.SOAKING:
            return Phase.DONE if facts.wall >= self.soak_until else Phase.ROLLING_BACK if back else phase
        if facts.aborted_by and facts.outcome != "done":
            return Phase.ABORTED
        if back:
            return Phase.ROLLING_BACK
        if facts.outcome is not None:
            return Phase.SOAKING if begun and facts.outcome == "done" and facts.soak > 0 else Phase.DONE
        queue = "CANCEL" in asks and (begun or "ROLLBACK" not in asks)
        if queue and self.cancels >= 2 and self.at_work <= 600:
            return Phase.ABORTED
        return Phase.DONE if facts.gone else self._by_rules(said, asks, facts)

    def _by_rules(self, said: Mapping[str, Said], asks: set[str], facts: Circumstances) -> Phase:
        if asks & {"PAUSE", "CANCEL", "ROLLBACK"}:
            return self.phase if self.phase is Phase.WAITING else Phase.PAUSED
        unheard = self.phase is Phase.WAITING and not all(each.settled for each in said.values())
        unwell = self.phase is Phase.PAUSED and not all(each.well for each in said.values())
        early = self.phase is Phase.PAUSED and facts.wall < self.paused_at[-1] + facts.bounds.shortest_pause
        if unheard or unwell or "HOLD" in asks or self.kept or early:
            return self.phase
        return Phase.STRAINED if "WARN" in asks else Phase.RUNNING
