"""Which notices a channel is for, which of them are alarms, and which say that an alarm is over. Pure.

It queues nothing. Whoever was told of an alarm is told of its end, however little that asks for attention and whatever
the channel is for by then: a "paused" that nobody takes back would be believed for ever.
"""

from __future__ import annotations

from dataclasses import dataclass

from guard.model import EVERYONE, Notice, Severity
from guard.model.patterns import key_for

_GRAVER = (Severity.INFO, Severity.WARNING, Severity.CRITICAL)

_OF_THE_DAEMON = frozenset({"journal", "reload_refused", "guard_died", "test"})
"""Kinds that concern every database, though each notice bears the name of the one whose guard tells it."""

_RUN = "run"
_TOPICS = {
    "cannot_signal": "signal",
    "can_signal": "signal",
    "cannot_see": "sight",
    "can_see": "sight",
    "journal": "journal",
    "starved": "turn",
    "fed": "turn",
}
"""Kinds that are not about the course of the run as a whole, each with what it is about."""

_ENDS = frozenset(
    {"started", "resumed", "warned", "soaking", "ended", "gone"}  # the run goes on, or is no more
    | {"can_signal", "can_see", "fed"}
)


@dataclass(frozen=True, slots=True)
class Route:
    """What a channel is for."""

    least: Severity = Severity.INFO
    databases: tuple[str, ...] = ()
    """Empty: all."""
    migrations: tuple[str, ...] = ()
    """Names or patterns in which `*` stands for anything; empty: all."""

    def wants(self, notice: Notice) -> bool:
        """Whether the channel asks for this notice by itself."""
        return _GRAVER.index(notice.severity) >= _GRAVER.index(self.least) and self._concerns(notice)

    def topic(self, notice: Notice) -> str:
        """What of its run, or of the guard, the notice is about: an alarm and its end have the same."""
        return topic(notice)

    def place(self, notice: Notice) -> str:
        """The database that the notice is about; empty: the daemon as a whole."""
        return place(notice)

    def ends(self, notice: Notice) -> bool:
        """Whether an alarm of the same topic is over by it."""
        return ends(notice)

    def _concerns(self, notice: Notice) -> bool:
        if self.databases and notice.database not in self.databases and notice.kind not in _OF_THE_DAEMON:
            return False
        # What has no name may be anybody's: a trouble of the guard, an order for all, sessions that did not register.
        named = notice.migration != EVERYONE
        return not (self.migrations and named and key_for(self.migrations, notice.migration) is None)


def topic(notice: Notice) -> str:
    """What of its run, or of the guard, the notice is about; what has neither end nor beginning stands for itself."""
    about = _TOPICS.get(notice.kind)
    if about is not None:
        return about
    unregistered = notice.kind in _ENDS | {"paused", "cancelled", "cancel_failed", "let_finish"}
    return _RUN if notice.run_id is not None or notice.migration != EVERYONE or unregistered else notice.kind


def place(notice: Notice) -> str:
    """The database that the notice is about; empty: the daemon, of which another guard may tell the end."""
    return "" if notice.kind in _OF_THE_DAEMON else notice.database


def ends(notice: Notice) -> bool:
    """Whether an alarm of the same topic is over by it."""
    return notice.kind in _ENDS or (notice.kind == "journal" and notice.severity is Severity.INFO)


def key(notice: Notice) -> str:
    """Names what an alarm and its end are about, for systems that keep alarms open until they are told of the end."""
    run = "" if notice.run_id is None else str(notice.run_id)
    return "/".join((place(notice), notice.migration, run, topic(notice)))


def standing(notice: Notice) -> str:
    """`firing`: something is wrong from now on; `over`: it is no more; `news`: neither."""
    if ends(notice):
        return "over"
    return "news" if notice.severity is Severity.INFO else "firing"
