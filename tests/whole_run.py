"""A whole run as people see it in Slack, as paper: `python -m tests.whole_run` writes tests/golden/slack-run.txt anew.

A guard among fakes leads migrations through all that may befall one; each notice is shown as Slack gets it, and
below it how the message on top of the thread of its run stands then.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from guard.errors import Unreachable
from guard.model import Notice, Run
from guard.ports import CancelReport, Ended
from guard.tell.slack_parent import Summary, fold, shown
from tests.fakes import FakeHook, World, a_run
from tests.messages import ERRORS, LAG, NAME, QUEUE, SESSION, rendered

PAPER = Path(__file__).parent / "golden" / "slack-run.txt"
NEXT = "drop-old-email"


def world() -> World:
    """Paused for lag, cancelled for a queue, left alone for a while, done and soaked; the next one is rolled back."""
    world = World(LAG, QUEUE, ERRORS, hook=FakeHook(), soak={"*": 600.0})
    world.runs = [_run(world, NAME)]
    world.tick(2)
    world.runs = [_run(world, NAME, rows_done=120_000, acknowledged_epoch=10**6)]
    _lag(world)
    _queue(world)
    world.signal.fails = world.signal.lead_fails = Unreachable("signal: no answer from PostgreSQL within 2 s")
    world.tick(8)
    world.signal.fails = world.signal.lead_fails = None
    world.tick(6)
    world.runs = [a_run(1, NAME, rows_done=1_000_000, outcome="done", here=False)]
    world.tick(2)
    world.runs = []
    world.tick(610)
    _rolled_back(world)
    return world


def _lag(world: World) -> None:
    for value, seconds in ((7.4, 4), (9.1, 40), (0.2, 16)):
        world.values["replica lag sensor"] = value
        world.tick(seconds)


def _queue(world: World) -> None:
    session = world.runs[0].session
    assert session is not None
    world.values["lock queue sensor"] = 3.0
    world.canceller.reports = [CancelReport((Ended(session, "cancelled", gone=True),), queued=3), CancelReport()]
    world.tick()
    world.values["lock queue sensor"] = 0.0
    world.tick(15)


def _rolled_back(world: World) -> None:
    world.runs = [_run(world, NEXT, 2)]
    world.tick(2)
    world.runs = [_run(world, NEXT, 2, rows_done=1000, acknowledged_epoch=10**6)]
    world.tick(2)
    world.values["checkout errors sensor"] = 0.062
    world.tick(13)


def _run(world: World, name: str, run_id: int = 1, **more: Any) -> Run:
    """One that is heard of now."""
    session = dataclasses.replace(SESSION, application_name=f"migration:{name}", run_id=run_id)
    return dataclasses.replace(a_run(run_id, name, **more), session=session, last_seen_wall=world.wall)


def paper() -> str:
    """Each message of the threads, and after each what stands on top."""
    tops: dict[int | None, Summary] = {}
    lines: list[str] = []
    for notice in world().journal.notices:
        lines += [_ruler(notice), *rendered(notice)]
        if notice.run_id is not None:
            top = tops[notice.run_id] = fold(tops.get(notice.run_id), notice)
            lines += ["", "  on top of the thread then:", *_indented(rendered(shown(top)))]
        lines.append("")
    return "\n".join(lines)


def _ruler(notice: Notice) -> str:
    where = "a message of its own" if notice.run_id is None else f"in the thread of run {notice.run_id}"
    return f"--- {where} ".ljust(100, "-")


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"  | {line}".rstrip() for line in lines)


if __name__ == "__main__":
    PAPER.write_text(paper())
    sys.stdout.write(f"{PAPER} is written\n")
