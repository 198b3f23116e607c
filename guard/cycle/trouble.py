"""Whether the guard can give orders at all, and see who is here, as news: told once it has lasted, and when it is over.

While it cannot give orders it cannot beat either, and every migration holds by itself when the lease ends.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from guard.decide.notices import Draft
from guard.judge.quantities import say_seconds
from guard.model import Notice, Severity

LASTS = 3.0
"""Seconds: a server that restarts is back before, and one notice is enough for a night."""
ASLEEP = 60.0
"""The same while nobody is known to migrate, where that is just what cannot be known."""
_ABOUT = "migration-guard"


@dataclass(frozen=True, slots=True)
class Wording:
    """What people are told of one kind of trouble."""

    kind: str
    headline: str
    next_step: str
    over: Draft
    asleep: float
    """Seconds that it must last where nobody migrates, before anybody is woken."""
    commands: tuple[str, ...] = ("migration-guard status",)


SIGNAL = Wording(
    "cannot_signal",
    "cannot signal",
    "Migrations hold by themselves when the lease ends. The guard goes on trying. One that must go on is overridden.",
    Draft("can_signal", Severity.INFO, "can signal again", "orders are written", about=_ABOUT),
    asleep=float("inf"),
    commands=("migration-guard status", "migration-guard override NAME --reason WHY --for 30m"),
)
SIGHT = Wording(
    "cannot_see",
    "cannot see who migrates",
    "Those that run are judged as before. New ones wait, and nobody notices when one ends. The guard goes on trying.",
    Draft("can_see", Severity.INFO, "can see who migrates again", "runs and sessions are read", about=_ABOUT),
    asleep=ASLEEP,
)


class Trouble:
    """Remembers since when it lasts, and whether people know."""

    def __init__(self, wording: Wording) -> None:
        self._wording = wording
        self._since: float | None = None
        self._told = False

    @property
    def kinds(self) -> tuple[str, str]:
        """Of its beginning and of its end."""
        return self._wording.kind, self._wording.over.kind

    def recall(self, last: Notice | None, now: float, wall: float) -> None:
        """Go on with what a guard before this one told last of it: only what people know of is told to be over."""
        if last is not None and last.kind == self._wording.kind:
            self._since, self._told = now - max(0.0, wall - last.at_wall) - LASTS, True

    def lasted(self, now: float) -> float:
        """For how many seconds by now; 0 where all is well."""
        return 0.0 if self._since is None else now - self._since

    def news(self, trouble: str, now: float, *, awake: bool) -> Draft | None:
        """What people must be told now. Nobody is woken for a database in which nobody migrates."""
        words = self._wording
        if not trouble:
            told, lasted = self._told, say_seconds(round(self.lasted(now), 1))
            self._since, self._told = None, False
            return dataclasses.replace(words.over, fields={"it lasted": lasted}) if told else None
        self._since = now if self._since is None else self._since
        if self._told or self.lasted(now) < (LASTS if awake else words.asleep):
            return None
        self._told = True
        return Draft(
            words.kind, Severity.CRITICAL, words.headline, trouble, words.next_step, words.commands, about=_ABOUT
        )
