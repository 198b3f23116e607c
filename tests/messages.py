"""What people are told, as paper: `python -m tests.messages` writes the messages of docs/messages.md anew.

A guard among fakes goes through what may befall it; each notice is rendered as Slack gets it.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from guard.decide.bounds import FLAP_BREAKER, Bounds, Flap
from guard.errors import Unreachable
from guard.model import (
    Answer,
    Check,
    Dimension,
    Fence,
    Notice,
    OperatorOrder,
    Roster,
    Rule,
    Run,
    Session,
    Silence,
)
from guard.ports import CancelReport, Ended, Observation
from guard.tell.slack_blocks import blocks
from tests.fakes import WALL, FakeHook, World, a_run, make_rule

PAPER = Path(__file__).parents[1] / "docs" / "messages.md"
BEGIN, END = "<!-- messages: written by python -m tests.messages -->\n", "<!-- end of messages -->"
NAME = "backfill-email"
SESSION = Session(4711, WALL, "migrator", "ddl", "active", None)


def rule(name: str, metric: str, dimension: Dimension, **texts: str) -> Rule:
    """A rule of the fakes, under the name and the metric that people know."""
    made = make_rule(name, **texts)
    return dataclasses.replace(made, metric=metric, dimension=dimension)


LAG = rule("replica lag", "replication.lag", Dimension.SECONDS, pause="> 5s for 3s", resume="< 2s for 15s")
QUEUE = rule(
    "lock queue", "locks.queued_behind_migration", Dimension.COUNT, pause="", cancel=">= 3", resume="< 1 for 10s"
)
ERRORS = rule(
    "checkout errors", "prometheus", Dimension.RATIO, pause="> 1%", rollback="> 5% for 10s", resume="< 0.7% for 10s"
)

LOAD = rule("checkout p99", "prometheus", Dimension.SECONDS, pause="> 500ms", resume="< 300ms for 10s")


class Lively(World):
    """One whose migrations were heard of a moment ago, under their own names, as long as they are there."""

    def roster(self) -> Roster:
        seen = super().roster()
        return dataclasses.replace(seen, runs=tuple(self._lively(run) for run in seen.runs))

    def _lively(self, run: Run) -> Run:
        if run.session is None:
            return run
        given = run.session.application_name
        name = f"migration:{run.migration}" if given == "migration:m" else given
        session = dataclasses.replace(run.session, application_name=name)
        return dataclasses.replace(run, session=session, last_seen_wall=self.wall - 0.4)


def running(*rules: Rule, **options: Any) -> World:
    """A migration that has begun, has applied something, and acknowledges what it is told."""
    world = Lively(*rules, **options)
    world.runs = [a_run(1, NAME)]
    world.tick()
    world.runs = [a_run(1, NAME, rows_done=12_000, batches_done=12, acknowledged_epoch=10**6)]
    world.tick()
    return world


def lag() -> World:
    """A pause for what was measured, and its end; then one for what could not be."""
    world = running(LAG)
    world.values["replica lag sensor"] = 7.4
    world.tick(60)
    world.values["replica lag sensor"] = 0.2
    world.tick(16)
    world.values["replica lag sensor"] = Silence("replica lag sensor", "standby replica1 is missing", world.now)
    world.tick(6)
    return world


def too_often() -> World:
    """Paused four times within twenty minutes, and let go on by a human."""
    world = running(LAG, bounds=Bounds(flap=Flap(4, 1200.0)))
    for _ in range(4):
        world.values["replica lag sensor"] = 7.4
        world.tick(4)
        world.values["replica lag sensor"] = 0.2
        world.tick(30)
    del world.journal.notices[:-1]
    world.orders = [OperatorOrder(1, "mute", NAME, "anna", "resumed", world.wall, world.wall + 301, FLAP_BREAKER)]
    world.tick()
    return world


def comes_and_goes() -> World:
    """A standby that comes and goes: the first three pauses are told, then one that lasts."""
    world = running(LAG)
    for _ in range(5):
        world.values["replica lag sensor"] = 7.4
        world.tick(8)
        world.values["replica lag sensor"] = 0.2
        world.tick(40)
    world.values["replica lag sensor"] = 8.1
    world.tick(130)
    kinds = [notice.kind for notice in world.journal.notices]
    del world.journal.notices[: kinds.index("paused", kinds.index("resumed"))]
    return world


def lasting() -> World:
    """A pause of an hour under which the load stays as it was, and a signal that nobody sees."""
    world = running(LOAD)
    world.values["checkout p99 sensor"] = 0.9
    world.tick()
    world.gate.had = frozenset({NAME})
    world.tick(3600, by=4)
    world.values["checkout p99 sensor"] = Silence("checkout p99 sensor", "no sample younger than 30 s", world.now)
    world.tick(601, by=3)
    return world


def orders() -> World:
    """Operators' orders, their end, and one that was given while no guard was there."""
    world = Lively(LAG)
    order = OperatorOrder(1, "pause", NAME, "anna", "sale begins", world.wall, world.wall + 1801)
    world.orders = [order]
    world.tick()
    world.orders = [OperatorOrder(2, "override", NAME, "bob", "standby is being rebuilt", world.wall - 240)]
    world.tick()
    world.orders = []
    world.runs = [a_run(1, NAME)]
    world.tick()
    world.orders = [OperatorOrder(3, "abort", NAME, "anna", "wrong data", world.wall)]
    world.tick()
    return world


def queue() -> World:
    """Sessions that never registered hold up a queue."""
    world = Lively(QUEUE)
    world.strangers = [SESSION]
    world.tick()
    world.values["lock queue sensor"] = 3.0
    root = "session 815 (shop, web), idle in transaction for 42.0 s"
    world.canceller.reports = [CancelReport((Ended(SESSION, "cancelled", gone=True),), queued=3, root=root)]
    world.tick()
    return world


def comes_back() -> World:
    """A migration that registered is cancelled, comes back, and is aborted at the third time."""
    world = running(QUEUE)
    world.values["lock queue sensor"] = 3.0
    session = dataclasses.replace(SESSION, application_name=f"migration:{NAME}", run_id=1)
    world.canceller.reports = [CancelReport((Ended(session, "cancelled", gone=True),), queued=3)]
    world.tick(3)
    return world


def fenced() -> World:
    """A lock queue behind a migration that has declared that it must not be cancelled."""
    world = running(QUEUE)
    fence = Fence("cut-over", world.wall, world.wall + 30.0)
    world.runs = [a_run(1, NAME, rows_done=12_000, batches_done=12, fence=fence)]
    world.values["lock queue sensor"] = 3.0
    world.tick(12)
    return world


def ignored() -> World:
    """Migrations that are told to pause: one goes on, one waits inside a transaction, one builds an index."""
    world = running(LAG, bounds=Bounds(ignored=("cancel", "terminate", "abort")))
    at_work = Session(4711, WALL, "migrator", f"migration:{NAME}", "active", 1, writes=True)
    swallowed = Ended(at_work, "cancelled", gone=False, detail="and still at work 2 s later")
    world.canceller.reports = [CancelReport((swallowed,)), CancelReport((Ended(at_work, "terminated", gone=True),))]
    world.runs = [dataclasses.replace(a_run(1, NAME, rows_done=12_000, batches_done=12), session=at_work)]
    world.values["replica lag sensor"] = 7.4
    world.tick(40)
    idles = Session(4712, WALL, "migrator", "migration:rude", "idle in transaction", 2, 3.0, 9.0, writes=True)
    idles = dataclasses.replace(idles, holds="changes and locks on public.users")
    index = Session(4713, WALL, "migrator", "migration:add-index", "active", 3, gentle="CREATE INDEX CONCURRENTLY")
    index = dataclasses.replace(index, at_work=600.0)
    world.guard.reconfigure(dataclasses.replace(world.options, bounds=Bounds()), {})
    world.values["replica lag sensor"] = 0.2
    world.runs = [a_run(2, "rude"), a_run(3, "add-index")]
    world.tick(20)
    world.runs = [
        dataclasses.replace(a_run(2, "rude"), session=idles),
        dataclasses.replace(a_run(3, "add-index"), session=index),
    ]
    world.values["replica lag sensor"] = 7.4
    world.tick(6)
    world.runs[0] = dataclasses.replace(a_run(2, "rude"), session=dataclasses.replace(at_work, run_id=2))
    world.tick(40)
    return world


def rollback() -> World:
    """A rollback that fires by itself."""
    world = running(ERRORS, hook=FakeHook())
    world.values["checkout errors sensor"] = 0.062
    world.tick(13)
    return world


def withheld() -> World:
    """One whose reason is over when it is read again."""
    world = running(ERRORS, hook=FakeHook())
    world.values["checkout errors sensor"] = 0.062
    world.tick(11)
    world.values["checkout errors sensor"] = 0.004
    world.tick()
    return world


def question() -> World:
    """One that may not."""
    world = running(ERRORS)
    world.values["checkout errors sensor"] = 0.062
    world.tick(12)
    return world


class _Database:
    """Answers the checks: four orders have no total, once there was a run."""

    def __init__(self) -> None:
        self._asked = 0

    async def ask(self, checks: Sequence[Check], *, within: float) -> tuple[Answer, ...]:  # noqa: ARG002 -- the protocol has it
        self._asked += 1
        orders = tuple(f"id={number}" for number in (17, 18, 42, 99)) if self._asked > 1 else ()
        values = {"totals": Answer("totals", offending=orders), "payments": Answer("payments", value="sum=1250.5")}
        return tuple(values[check.name] for check in checks)


def unsound() -> World:
    """A migration ends well, and its data is not as it must be."""
    checks = (Check("totals", "", rollback=True), Check("payments", "", same=True))
    world = Lively(LAG, hook=FakeHook(), soak={"*": 600.0}, checks={"*": checks})
    world.guard.hands = dataclasses.replace(world.guard.hands, checker=_Database())
    world.runs = [a_run(1, NAME)]
    world.tick()
    world.runs = [a_run(1, NAME, rows_done=12_000, batches_done=12, outcome="done", here=False)]
    world.tick(2)
    return world


def starved() -> World:
    """A paced migration that other writers keep from its turn."""
    world = running(LAG)
    size = "replica1 has 61.5 MB to replay, above the window of 10.0 MB without its own"
    for noted in (f"starved by other writers (12.3 MB/s): {size}", ""):
        world.runs = [a_run(1, NAME, rows_done=12_000, batches_done=12, note=noted)]
        world.tick()
    return world


def told_at_the_end() -> World:
    """A run of twenty minutes that was paused twice, and has failed in the end."""
    world = running(LAG, ERRORS)
    for lag, seconds in ((1.2, 120), (3.9, 90), (7.4, 30), (9.3, 20), (4.0, 30), (0.4, 300), (6.2, 20), (0.3, 200)):
        world.values["replica lag sensor"] = lag
        world.tick(seconds, by=2)
    del world.journal.notices[:]
    world.values["checkout errors sensor"] = 0.004
    world.runs = [dataclasses.replace(world.runs[0], rows_done=1_240_000, batches_done=1_240)]
    world.tick(100, by=2)
    world.runs = [dataclasses.replace(world.runs[0], outcome="failed", session=None)]
    world.tick()
    return world


def told_by_the_next_guard() -> World:
    """The same of a run in which the guard was started anew."""
    world = running(LAG)
    world.values["replica lag sensor"] = 9.3
    world.tick(30)
    world.values["replica lag sensor"] = 0.4
    world.tick(60)
    world.new_guard()
    world.tick(60)
    del world.journal.notices[:]
    world.runs = [dataclasses.replace(world.runs[0], outcome="done", session=None)]
    world.tick()
    return world


def ends() -> World:
    """A migration ends well; another one vanishes."""
    world = running(LAG, soak={"*": 600.0})
    ended = a_run(1, NAME, rows_done=12_000, batches_done=12, outcome="done", here=False)
    world.runs = [ended, a_run(2, "add-index")]
    world.tick()
    world.runs = []
    world.tick(610)
    return world


def observing() -> World:
    """A guard that only looks on."""
    world = running(LAG, QUEUE, observing=True)
    world.values["replica lag sensor"] = 9.0
    world.tick(4)
    world.values["lock queue sensor"] = 3.0
    world.tick()
    world.values |= {"lock queue sensor": 0.0, "replica lag sensor": 0.5}
    world.tick(20)
    return world


def mute() -> World:
    """The guard itself cannot give orders."""
    world = running(LAG)
    world.signal.fails = world.signal.lead_fails = Unreachable("signal: no answer from PostgreSQL within 2 s")
    world.tick(8)
    world.signal.fails = world.signal.lead_fails = None
    world.tick(6)
    return world


def blind() -> World:
    """The guard can give orders, but not see who is here."""
    world = running(LAG)
    why = "roster: no connection to PostgreSQL: FATAL: remaining connection slots are reserved"
    for _ in range(8):
        world.now += 0.5
        world.look()
        world.guard.put(Observation((Silence("roster", why, world.now),)))
        world.step()
    world.tick()
    return world


SCENES: dict[str, Callable[[], World]] = {
    "Paused for lag, and later because nothing is known": lag,
    "Paused too often": too_often,
    "Paused again and again": comes_and_goes,
    "Paused for long": lasting,
    "Operators' orders": orders,
    "A lock queue behind sessions that never registered": queue,
    "A lock queue behind a migration that comes back": comes_back,
    "A lock queue behind a migration in a fence": fenced,
    "Migrations that do not keep to a pause": ignored,
    "A rollback": rollback,
    "A rollback that is not needed any more": withheld,
    "A rollback that a human must decide": question,
    "A paced migration among others who write": starved,
    "Migrations that end": ends,
    "What is told at the end of a long run": told_at_the_end,
    "The same, by a guard that was started anew meanwhile": told_by_the_next_guard,
    "Data that is not as it must be": unsound,
    "A guard that only observes": observing,
    "A guard that cannot give orders": mute,
    "A guard that cannot see who is here": blind,
}


def rendered(notice: Notice) -> Iterator[str]:
    """The lines of a message, without its id and time."""
    parts: Any = blocks(notice)["blocks"]
    for part in parts[:-1]:
        texts = [part["text"]["text"]] if "text" in part else [each["text"] for each in part.get("fields", ())]
        for text in texts:
            for line in text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").splitlines():
                if line != "```":
                    yield f"    {line}" if text.startswith("```") else line


def paper() -> str:
    """All messages of all scenes."""
    lines = []
    for title, scene in SCENES.items():
        lines += [f"### {title}", ""]
        for notice in scene().journal.notices:
            lines += ["```", *rendered(notice), "```", ""]
    return "\n".join(lines)


def written() -> str:
    """What the paper holds of it by now."""
    found = re.search(re.escape(BEGIN) + "(.*)" + re.escape(END), PAPER.read_text(), re.DOTALL)
    assert found, f"{PAPER} has lost its marks"
    return found[1]


if __name__ == "__main__":
    text = PAPER.read_text()
    PAPER.write_text(text.replace(BEGIN + written(), BEGIN + paper()))
    sys.stdout.write(f"{PAPER} is written\n")
