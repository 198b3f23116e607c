"""A counter of the user's own as its growth per second, from what its probe read before.

What cannot be told is a silence: the first look, a counter that fell (it began anew), a look too long ago, answers that
take so long that nobody knows when they counted. It is never negative and never a guess.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from guard.judge.quantities import say, say_seconds
from guard.model import Reading, Rule, Sample, Silence
from guard.poll.samples import silences
from guard.ports import Observation, Probe

LEAST: Final = 0.5
"""Seconds between two looks that make a rate: of less, one event more or fewer makes a rate of many."""
BLUR: Final = 0.25
"""Share of the time between two looks by which it may be wrong, since an answer was counted at some time on its way."""


@dataclass(frozen=True, slots=True)
class _Look:
    asked: float
    answered: float
    value: float
    era: object

    @property
    def at(self) -> float:
        """The middle, which is wrong by half of the way at most."""
        return (self.asked + self.answered) / 2

    @property
    def way(self) -> float:
        return self.answered - self.asked


class RatedProbe:
    """Reads a rule's sensor as the growth per second of the one counter that *probe* reads.

    Two looks make a rate; they lie LEAST seconds apart at least, and `stale_after` of the rule at most; while
    nobody migrates *rest* seconds lie between them, and a baseline may be made of those. *era* is asked with each look,
    and another one than before means another server, whose counter is another one.
    """

    def __init__(
        self,
        probe: Probe,
        rule: Rule,
        *,
        rest: float = 0.0,
        era: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = probe.name
        self.cheap = probe.cheap
        self._probe = probe
        self._rule = rule
        self._longest = max(rule.stale_after, 1.5 * rest)
        self._era = era
        self._now = clock
        self._looks: list[_Look] = []

    async def poll(self) -> Observation:
        """One poll of the probe."""
        asked = self._now()
        (sample,) = (await self._probe.poll()).samples
        if isinstance(sample, Silence):
            return Observation((dataclasses.replace(sample, sensor=self._rule.sensor),))
        return Observation((self._rate(_Look(asked, self._now(), sample.value, self._era())),))

    def _rate(self, look: _Look) -> Sample:
        sensor = self._rule.sensor
        if not math.isfinite(look.value):
            return Silence(sensor, "the counter is infinite", look.asked)
        if why := self._began_anew(look):
            self._looks = []
        before, self._looks = self._looks, [each for each in self._looks if self._fits(each, look)]
        self._looks.append(look)
        if len(self._looks) == 1:
            why = why or (
                f"not looked at for {say_seconds(round(look.asked - before[-1].asked, 1))}" if before else "first look"
            )
            return Silence(sensor, f"{why}, and a rate takes two looks", look.asked)
        for then in reversed(self._looks[:-1]):
            span = look.at - then.at
            if span >= LEAST and (look.way + then.way) / 2 <= BLUR * span:
                grown = look.value - then.value
                words = f"grew by {say(grown, self._rule.dimension)} in {say_seconds(span)}"
                return Reading(sensor, grown / span, look.asked, words)
        if look.at - self._looks[0].at < LEAST:
            return Silence(sensor, f"a rate takes looks {say_seconds(LEAST)} apart", look.asked)
        return Silence(sensor, "answers take too long to say when they counted", look.asked)

    def _fits(self, then: _Look, now: _Look) -> bool:
        return now.asked - then.asked <= self._longest

    def _began_anew(self, look: _Look) -> str:
        last = self._looks[-1] if self._looks else None
        if last is None:
            return ""
        if look.era != last.era:
            return "connected anew, perhaps to another server"
        if look.value < last.value:
            unit = self._rule.dimension
            return f"the counter fell from {say(last.value, unit)} to {say(look.value, unit)}: it began anew"
        return ""

    def silence(self, why: str, now: float) -> Observation:
        """There is no rate."""
        return silences((self._rule.sensor,), why, now)

    async def close(self) -> None:
        """Close the probe."""
        await self._probe.close()
