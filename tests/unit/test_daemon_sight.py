"""What can be seen of a daemon is what its guards know."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from pathlib import Path

from guard.daemon.sight import DaemonSight
from guard.errors import Fenced
from guard.journal import Backlog, Journal
from guard.model import Run
from guard.show.sight import Progress
from guard.tell.log import LogLines
from guard.tell.outbox import Outbox
from guard.watch import Pace, Watch
from tests.fakes import World, a_run, a_session, an_order, make_rule


def seeing(world: World, directory: Path) -> tuple[Watch, DaemonSight]:
    watch = Watch(world.guard, (), Pace(0.01, 10.0, 1.0), lambda: None)
    outbox = Outbox(Journal(directory / "journal.sqlite", channels=["log"]), LogLines())
    return watch, DaemonSight((watch,), outbox, guard_id="tests", lease=10.0)


def test_a_paused_run_is_seen_with_its_reason_its_progress_and_what_operators_ordered(tmp_path: Path) -> None:
    world = World(make_rule())
    run: Run = dataclasses.replace(a_run(rows_done=700, batches_done=7), session=a_session(1001, 1))
    world.runs, world.orders = [run, a_run(2, "n", here=False)], [an_order("mute", rule="x")]
    world.now = time.monotonic()
    _, sight = seeing(world, tmp_path)
    assert sight.look()[0].beat_age is None
    world.tick(5)
    world.values["lag sensor"] = 7.0
    world.tick(5)
    (seen,) = sight.look()
    assert (seen.database, seen.mode, seen.leading, seen.guard_id, seen.lease) == ("main", "live", True, "tests", 10.0)
    assert seen.report["runs"][0]["phase"] == "paused"
    assert "5s" in seen.report["runs"][0]["because"]
    assert seen.beat_age is not None
    assert seen.progress[1] == Progress(
        1001, "migrator", "migration:m", 700, 7, "", run.registered_wall, run.last_seen_wall
    )
    assert seen.progress[2].pid is None
    assert [(order.kind, order.rule, order.owner) for order in seen.orders] == [("mute", "x", "ada")]


def test_whoever_waits_hears_of_each_step_and_of_the_end(tmp_path: Path) -> None:
    world = World(make_rule())
    watch, sight = seeing(world, tmp_path)

    async def follow() -> list[str]:
        heard = []
        running = asyncio.create_task(watch.run())
        await asyncio.wait_for(sight.changed(), 10)
        heard.append(sight.look()[0].mode)
        world.signal.fails = Fenced("another guard leads")
        while not watch.ended.is_set():
            await asyncio.wait_for(sight.changed(), 10)
        heard.append(sight.look()[0].ended_because)
        await running
        return heard

    assert asyncio.run(follow()) == ["live", "fenced: another guard leads"]


def test_what_waits_on_a_channel_is_counted_at_most_once_a_second(tmp_path: Path) -> None:
    world = World(make_rule())
    _, sight = seeing(world, tmp_path)
    first = sight.channels()
    assert [
        (channel.name, channel.waiting, channel.dead, channel.oldest_age, channel.trouble) for channel in first
    ] == [("log", 0, 0, None, "")]
    assert sight.channels() is first


def test_each_channel_is_counted_once_for_all(tmp_path: Path) -> None:
    counted: list[str] = []

    class Counting(Journal):
        def backlog(self, channel: str) -> Backlog:
            counted.append(channel)
            return super().backlog(channel)

    lines = [LogLines() for _ in range(3)]
    for number, each in enumerate(lines):
        each.name = f"channel {number}"
    journal = Counting(tmp_path / "journal.sqlite", channels=[each.name for each in lines])
    sight = DaemonSight((), Outbox(journal, *lines), guard_id="tests", lease=10.0)
    assert [channel.name for channel in sight.channels()] == sorted(counted)
    journal.close()
