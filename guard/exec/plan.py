"""What is to be run under guard, and how. It decides and starts nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from guard.client.migration import OnGuardLost
from guard.exec.retry import Limits
from guard.exec.tools import Tool


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be run, and how. Times in seconds."""

    name: str
    command: Sequence[str]
    conninfo: str = field(repr=False)
    given: Mapping[str, str] = field(repr=False)
    """The environment that the command is to have, but for the marks."""
    tool: Tool | None = None
    lock_timeout: float = 1.0
    tables: Sequence[str] = ()
    """Those that are to be free of other locks before a try, each as schema.table."""
    grace: float = 2.0
    """For a statement that is at work when a pause is ordered."""
    repeatable: bool = False
    verify: str = ""
    limits: Limits = field(default_factory=Limits)
    on_guard_lost: OnGuardLost = "wait"
    give_up_after: float = 900.0
