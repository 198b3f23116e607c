"""What a bot remembers of the thread of one run: where its parent stands, what it shows, and what it should.

It sends nothing; where it is kept is the business of a Memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from guard.model import Notice
from guard.tell.slack_parent import Summary, from_dict, to_dict


class Memory(Protocol):
    """Where parents stand, across a restart. No method raises for what a disk does."""

    def all(self) -> Mapping[str, Mapping[str, object]]:
        """What is kept, by key, oldest first."""

    def keep(self, key: str, at_wall: float, record: Mapping[str, object]) -> None:
        """Keep or replace one; the oldest may be forgotten for it."""


@dataclass(slots=True)
class Parent:
    """The message on top of one thread."""

    summary: Summary
    asked: str
    """The channel as it was configured when it was posted."""
    channel: str = ""
    """The id that Slack gave."""
    ts: str = ""
    """Slack's name for the message; empty: there is none yet, or no more."""
    dirty: bool = False
    """What is shown is not the newest."""
    pictured: bool = False
    """The picture of its end has been asked for."""
    edit_at: float = 0.0
    """Monotonic: when it may be edited next."""

    def record(self) -> dict[str, object]:
        """All of it that outlives the process, as JSON takes it."""
        return {
            "asked": self.asked,
            "channel": self.channel,
            "ts": self.ts,
            "dirty": self.dirty,
            "pictured": self.pictured,
            "summary": to_dict(self.summary),
        }


def parent_of(record: Mapping[str, Any]) -> Parent:
    """Read what was kept. Raises ValueError."""
    texts = [record.get(key) for key in ("asked", "channel", "ts")]
    summary = record.get("summary")
    if not isinstance(summary, dict) or not all(isinstance(text, str) for text in texts):
        raise ValueError("it is not a parent")
    flags = (bool(record.get(key)) for key in ("dirty", "pictured"))
    return Parent(from_dict(summary), str(texts[0]), str(texts[1]), str(texts[2]), *flags)


def is_another(summary: Summary, notice: Notice) -> bool:
    """Whether a run only bears the number of an older one: a schema that was made anew counts from the beginning."""
    return summary.newest.migration != notice.migration or (notice.kind == "started" and bool(summary.digest))
