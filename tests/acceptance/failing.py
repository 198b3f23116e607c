"""The real daemon, which kills itself right before or right after one of its durable steps.

    python -m tests.acceptance.failing POINT before|after serve -c FILE

The product knows nothing of it: the method of that step is wrapped from outside, and SIGKILL leaves no time to tidy up.
"""

from __future__ import annotations

import functools
import inspect
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from guard.act.cancel import QueueCanceller
from guard.act.control_table import ControlTable
from guard.act.ending import Ender
from guard.act.rollback_hook import RollbackHook
from guard.cli.app import main
from guard.journal import Journal
from guard.journal.recorder import DatabaseJournal
from guard.tell.slack import SlackWebhook

When = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Point:
    """A call of a method, known by what must stand in the words of its arguments."""

    owner: type
    method: str
    words: tuple[str, ...] = ()


def _kind(kind: str) -> str:
    return f"kind='{kind}'"


POINTS = {
    "lead": Point(ControlTable, "lead"),
    "add missing": Point(DatabaseJournal, "add_missing"),
    "release": Point(ControlTable, "publish", ("mode='released'",)),
    **{f"publish {kind}": Point(ControlTable, "publish", (_kind(kind),))
       for kind in ("paused", "resumed", "cancelled", "rolling_back", "rolled_back")},
    **{f"save {kind}": Point(DatabaseJournal, "save", (_kind(kind),)) for kind in ("paused", "cancelled")},
    **{f"send {kind}": Point(SlackWebhook, "send", (_kind(kind),)) for kind in ("paused", "rolled_back")},
    **{f"mark {kind}": Point(Journal, "mark_sent", (_kind(kind), "channel='slack'"))
       for kind in ("paused", "rolled_back")},
    "clear queue": Point(QueueCanceller, "clear_queue"),
    "cancel": Point(Ender, "end"),
    "end run": Point(QueueCanceller, "end_run"),
    "claim": Point(ControlTable, "claim_rollback"),
    "launch": Point(RollbackHook, "launch"),
    "finish": Point(ControlTable, "finish_rollback"),
}  # fmt: skip
"""Each durable step: what it leaves in database, journal, Slack or on disk is there before the next one begins."""


def arm(point: Point, when: When) -> None:
    """Wrap the method of *point*."""
    original: Callable[..., Any] = getattr(point.owner, point.method)

    def here(arguments: object) -> bool:
        said = repr(arguments)
        return all(words in said for words in point.words)

    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def stepped(*args: Any, **more: Any) -> Any:
            if when == "before" and here((args, more)):
                _die()
            answer = await original(*args, **more)
            if when == "after" and here((args, more)):
                _die()
            return answer
    else:

        @functools.wraps(original)
        def stepped(*args: Any, **more: Any) -> Any:
            if when == "before" and here((args, more)):
                _die()
            answer = original(*args, **more)
            if when == "after" and here((args, more)):
                _die()
            return answer

    setattr(point.owner, point.method, stepped)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    _, name, moment, *arguments = sys.argv
    arm(POINTS[name], "before" if moment == "before" else "after")
    sys.argv = ["migration-guard", *arguments]
    main()
