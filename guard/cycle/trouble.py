"""Whether the guard can give orders at all, as news: told once it has lasted, and again once it is over.

While it cannot, it cannot beat either, and every migration holds by itself when the lease ends.
"""

from __future__ import annotations

from guard.decide.notices import Draft
from guard.model import Severity

LASTS = 3.0
"""Seconds: a server that restarts is back before, and one notice is enough for a night."""
_NEXT = "Migrations hold by themselves when the lease ends. The guard tries again each second."
_ABOUT = "migration-guard"


class Trouble:
    """Remembers since when nothing could be published, and whether people know."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._told = False

    def news(self, trouble: str, now: float, *, awake: bool) -> Draft | None:
        """What people must be told now. Nobody is woken for a database in which nobody migrates."""
        if not trouble:
            told, self._since, self._told = self._told, None, False
            over = Draft("can_signal", Severity.INFO, "can signal again", "orders are written", about=_ABOUT)
            return over if told else None
        self._since = now if self._since is None else self._since
        if self._told or not awake or now - self._since < LASTS:
            return None
        self._told = True
        return Draft("cannot_signal", Severity.CRITICAL, "cannot signal", trouble, _NEXT, about=_ABOUT)
