"""What is counted for /metrics is what happened, once, and outlives a reload."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from guard.daemon.sight import DaemonSight
from guard.journal import Journal
from guard.model import Event, Phase, Reading, Roster, Silence, State
from guard.ports import Observation
from guard.records import state_to_dict
from guard.tally import BOUNDS, Durations, Tally
from guard.tell.outbox import Outbox
from guard.watch import Pace, Watch
from tests.fakes import World, make_rule

NOBODY = Roster((), (), (), (), 0.0, 0.0)
HELD = State("backfill", 7, Phase.PAUSED, "lag", 100.0, effective=True, effective_since_wall=100.75)


def effective(state: State) -> Event:
    return Event("effective", state.migration, state.run_id, "lag", state.phase.value, {"state": state_to_dict(state)})


def test_a_duration_is_counted_under_the_first_bound_that_it_does_not_exceed() -> None:
    took = Durations()
    for seconds in (0.0, BOUNDS[0], BOUNDS[-1] + 1):
        took.add(seconds)
    assert (took.counts[0], took.counts[-1], sum(took.counts)) == (2, 1, 3)
    assert (took.last, took.total) == (BOUNDS[-1] + 1, BOUNDS[0] + BOUNDS[-1] + 1)


def test_the_time_until_a_pause_holds_is_counted_but_not_that_until_a_broken_one_holds_again() -> None:
    tally = Tally()
    for event in (effective(HELD), effective(replace(HELD, broken=1)), Event("paused", "backfill", 7, "lag", "paused")):
        tally.happened(event)
    assert (tally.holding.last, sum(tally.holding.counts)) == (0.75, 1)
    assert tally.events == {"effective": 2, "paused": 1}


@pytest.mark.parametrize(
    ("brought", "silent"),
    [
        pytest.param(Observation((Silence("lag", "no row", 0.0),)), True, id="nothing-but-silence"),
        pytest.param(Observation((Silence("lag", "no row", 0.0), Reading("bytes", 1.0, 0.0))), False, id="one-reading"),
        pytest.param(Observation((Silence("lag", "no row", 0.0),), NOBODY), False, id="a-roster"),
        pytest.param(Observation(), False, id="nothing-to-tell"),
    ],
)
def test_a_visit_is_silent_where_it_brought_nothing_else(brought: Observation, *, silent: bool) -> None:
    tally = Tally()
    tally.visited("replication", brought, began=10.0, now=10.5)
    visits = tally.visits["replication"]
    assert (visits.count, visits.silences, visits.heard) == (1, int(silent), None if silent else 10.5)
    assert visits.took.last == 0.5


class Answering:
    cheap = True

    def __init__(self, name: str) -> None:
        self.name = name

    async def poll(self) -> Observation:
        return Observation((Reading(self.name, 1.0, 0.0),))

    def silence(self, why: str, now: float) -> Observation:
        return Observation((Silence(self.name, why, now),))

    async def close(self) -> None: ...


class Hushed(Answering):
    async def poll(self) -> Observation:
        return self.silence("no row", 0.0)


def test_the_counts_of_a_probe_outlive_a_reload_and_those_of_one_that_is_gone_do_not() -> None:
    pace = Pace(poll=0.01, idle=10.0, deadline=5.0)
    watch = Watch(World(make_rule()).guard, [Answering("kept"), Answering("dropped")], pace, lambda: None)

    async def reload() -> None:
        await asyncio.gather(watch.look("kept"), watch.look("dropped"))
        await watch.exchange([Answering("kept"), Answering("new")], pace)
        await watch.look("kept")

    asyncio.run(reload())
    visits = watch.guard.tally.visits
    assert {name: each.count for name, each in visits.items()} == {"kept": 2}


def test_what_is_seen_of_the_counts_does_not_grow_and_says_how_long_a_probe_has_been_silent(
    tmp_path: Path,
) -> None:
    watch = Watch(World(make_rule()).guard, [Answering("lag"), Hushed("bytes")], Pace(0.01, 10.0, 5.0), lambda: None)
    watch.began -= 50
    tally = watch.guard.tally

    async def look() -> None:
        await asyncio.gather(watch.look("lag"), watch.look("bytes"))
        await watch._step()

    outbox = Outbox(Journal(tmp_path / "journal.sqlite"))
    sight = DaemonSight((watch,), outbox, guard_id="tests", lease=10.0)
    assert 50 <= sight.look()[0].asked_age < 60  # nobody was asked yet
    asyncio.run(look())
    (seen,) = sight.look()
    assert seen.asked_age < 40
    asyncio.run(look())
    assert seen.polls["lag"].age < 40 <= seen.polls["bytes"].age
    assert [(poll.visits, poll.silences) for poll in seen.polls.values()] == [(1, 0), (1, 1)]
    assert (sum(seen.tally.deciding.counts), sum(tally.deciding.counts)) == (1, 2)
    assert (seen.tally.visits["lag"].count, tally.visits["lag"].count) == (1, 2)
    tally.events["paused"] += 1
    assert seen.tally.events["paused"] == 0


def test_a_step_tells_how_long_the_first_of_its_readings_had_waited_for_it() -> None:
    watch = Watch(World(make_rule()).guard, [Answering("lag")], Pace(0.01, 10.0, 5.0), lambda: None)

    async def twice() -> None:
        await watch.look("lag")
        await watch.look("lag")
        await watch._step()
        await watch._step()  # of nothing new

    asyncio.run(twice())
    deciding = watch.guard.tally.deciding
    assert sum(deciding.counts) == 1
    assert deciding.last is not None
    assert deciding.last >= 0
