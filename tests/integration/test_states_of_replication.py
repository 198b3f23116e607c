"""What a guard reads in each state in which PostgreSQL's views of replication are known to mislead: a table.

In each state the second poll at the latest has what is right, and the third still does. In no poll before, during and
after it is a reading better than what is true of the standby; nor of a guard that starts only then.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from guard.demo.embedded import Binaries
from guard.model import Reading, Sample, Silence
from guard.model.metric import labelled
from guard.model.sensors import METRICS
from tests import states
from tests.replicating import IDLE_REPLY, MB, REPLY, SELECTED, Observed, Watching, World
from tests.states import LAGGING
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

LAG, BYTES, RETAINED = "replication.lag", "replication.lag_bytes", "replication.retained_bytes"
WRITE, FLUSH, REPLIED = "replication.write_lag_bytes", "replication.flush_lag_bytes", "replication.reply_age"
STANDBYS, SYNC, SAFE = "replication.standbys", "replication.sync_waiters", "replication.safe_wal_size"
INACTIVE = "replication.slot_inactive_for"
OF_A_STANDBY = (LAG, BYTES, WRITE, FLUSH, REPLIED)
NOISE = 2.0
"""Seconds by which a busy machine may shift what is measured here."""


@dataclass(frozen=True)
class Right:
    """What is right for one sensor: in words, and whether a sample is it."""

    words: str
    fits: Callable[[Sample, Observed], bool]


def reads(least: float, most: float = math.inf) -> Right:
    """A reading between two bounds."""
    return Right(
        f"a reading from {least:g} to {most:g}",
        lambda sample, _: isinstance(sample, Reading) and least <= sample.value <= most,
    )


def true_lag(least: float) -> Right:
    """A reading of at least *least* and at most NOISE above what is true; better_than_true() looks from below."""
    return Right(
        f"the true lag, {least:g} or more",
        lambda sample, seen: isinstance(sample, Reading) and least <= sample.value <= (seen.lag or 0.0) + NOISE,
    )


def silent(why: str) -> Right:
    """A silence that says this."""
    return Right(f"a silence: {why}", lambda sample, _: isinstance(sample, Silence) and why in sample.why)


def _tells_since_when(sample: Sample, _: Observed) -> bool:
    return (isinstance(sample, Reading) and sample.value > 0) or "17" in getattr(sample, "why", "")


SINCE_WHEN = Right("a time, which PostgreSQL tells from 17 on", _tells_since_when)
WELL: Mapping[str, Right] = {
    LAG: reads(0, NOISE),
    BYTES: reads(0, 100_000),
    WRITE: reads(0, 100_000),
    FLUSH: reads(0, 100_000),
    REPLIED: reads(0, IDLE_REPLY),
    RETAINED: reads(0, 64 * MB),
    STANDBYS: reads(1, 1),
    SYNC: reads(0, 0),
    SAFE: reads(math.inf),
    INACTIVE: reads(0, 0),
}
"""Also of a standby or slot that is selected, whose series are told beside the worst of all."""


@dataclass(frozen=True)
class State:
    """How a state is entered and left, and what is right in it, as far as it is not as in health."""

    enter: states.Enter
    right: Mapping[str, Right] = field(default_factory=dict)
    counted: Mapping[str, Right] = field(default_factory=dict)
    """The same where any one standby is expected and not replica1, as far as it differs."""
    asked: Mapping[str, Right] = field(default_factory=dict)
    """The same where replica1 is asked itself as well, as far as it differs: its word counts where it has no row."""
    of_one: Mapping[str, Right] = field(default_factory=dict)
    """The same for the series of replica1 and of its slot, as far as it differs."""
    beats: bool = True


GONE = dict.fromkeys(OF_A_STANDBY, silent("replica1 is not connected"))
NONE = dict.fromkeys(OF_A_STANDBY, silent("0 of 1 expected standbys"))
MISSED = dict.fromkeys(OF_A_STANDBY, silent("replica1: "))
OWN_WORD = {
    LAG: true_lag(0.5),
    **dict.fromkeys((BYTES, WRITE, FLUSH), reads(1)),
    REPLIED: silent("replica1 replies to another server"),
    STANDBYS: reads(0, 1),
}
"""What is measured is true; that it streams it still believes."""
MUTE = {**dict.fromkeys(OF_A_STANDBY, silent("replica1 has not replied for")), REPLIED: reads(REPLY)}
SLOT_LEFT = {STANDBYS: reads(0, 0), INACTIVE: SINCE_WHEN}
SLOT_LOST = {RETAINED: silent("slot late has lost WAL"), SAFE: silent("slot late has lost WAL"), INACTIVE: SINCE_WHEN}
STOPPED = {LAG: true_lag(LAGGING), BYTES: reads(1)}
FAR = {LAG: true_lag(LAGGING), BYTES: reads(MB), WRITE: reads(MB), FLUSH: reads(MB)}
NOTHING = {LAG: reads(0, LAGGING), BYTES: reads(0, 1000)}
"""The server may log its running transactions meanwhile, which is a few bytes, and replayed at once."""
STATES = {
    "idle, all replayed": State(states.idle, NOTHING, beats=False),
    "busy": State(states.busy, dict.fromkeys((BYTES, WRITE, FLUSH), reads(0, MB))),
    "replay stopped, with WAL": State(states.stopped, STOPPED),
    "replay stopped, no more WAL": State(states.stopped, STOPPED, beats=False),
    "replay just resumed": State(states.just_resumed, NOTHING, beats=False),
    "walreceiver frozen": State(states.frozen, MUTE),
    "walreceiver frozen for too long": State(states.frozen_too_long, {**GONE, **SLOT_LEFT}, NONE, OWN_WORD),
    "dead line": State(states.dead_line, MUTE),
    "dead line, no WAL": State(states.dead_line_without_wal, {**MUTE, REPLIED: reads(IDLE_REPLY)}, beats=False),
    "standby down": State(states.down, {**GONE, **SLOT_LEFT, RETAINED: reads(16 * MB)}, NONE, MISSED),
    "catching up": State(states.catching_up, {**FAR, STANDBYS: reads(0, 0)}),
    "streaming far behind": State(states.far_behind, FAR),
    "a base backup is taken": State(states.base_backup),
    "an archive receives WAL": State(states.receivewal),
    "standby down, an archive receives WAL": State(states.down_and_archived, {**GONE, **SLOT_LEFT}, NONE, MISSED),
    "standby down, a subscriber follows": State(states.down_and_subscribed, {**GONE, **SLOT_LEFT}, NONE, MISSED),
    "a slot has lost its WAL": State(
        states.slot_lost, SLOT_LOST, of_one={RETAINED: WELL[RETAINED], INACTIVE: reads(0, 0)}
    ),
    "no pg_monitor": State(states.not_permitted, dict.fromkeys(WELL, silent("lacks pg_monitor"))),
    "primary down": State(states.primary_down, dict.fromkeys(WELL, silent(""))),
}
ROWS = {
    "replay stopped, with WAL": 39,
    "walreceiver frozen": 40,
    "walreceiver frozen for too long": 40,
    "dead line": 40,
    "standby down": 40,
    "standby down, an archive receives WAL": 42,
    "a base backup is taken": 42,
    "an archive receives WAL": 42,
    "catching up": 42,
    "a slot has lost its WAL": 43,
    "no pg_monitor": 23,
}


@pytest.fixture(scope="module")
def watching(binaries: Binaries) -> Iterator[Watching]:
    """Servers that all states share, and a guard that looks at them all the while."""
    world = World(binaries)
    with Watching(world) as watching:
        # A lag is known only back to the first look, and each state may be the first one here.
        world.write(MB)
        world.wait_settled()
        watching.next(3)
        yield watching
    world.close()


@pytest.fixture
def world(watching: Watching) -> Iterator[World]:
    """The servers, left as they were found."""
    yield watching.world
    watching.beats = True
    watching.world.restore()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.fault(ROWS[name])] if name in ROWS else []) for name in STATES]
)
def test_in_each_state_every_sensor_is_right_within_two_polls(name: str, world: World, watching: Watching) -> None:
    state, before = STATES[name], len(watching.all)
    watching.beats = state.beats
    with contextlib.contextmanager(state.enter)(world, watching):
        seen = watching.next(3)
        anew = world.look_anew()
    watching.beats = True
    world.wait_settled()
    # A guard waits a little longer each time before it tries again to connect.
    wait_for(lambda: not unwell(watching.next(1)[0]), within=20.0, message=lambda: str(unwell(watching.all[-1])))
    for named, counted, asked in seen[1:]:
        assert not wrong(named, {**WELL, **state.right, **of_one({**WELL, **state.right, **state.of_one})})
        assert not wrong(counted, {**WELL, **state.right, **state.counted})
        assert not wrong(asked, {**WELL, **state.right, **state.asked})
    polls = watching.all[before:]
    # What was written between two polls may be taken for as young as the second.
    slack = max(after[0].at - poll[0].at for poll, after in itertools.pairwise(polls))
    for each in (*(each for poll in polls for each in poll), *anew):
        assert not better_than_true(each, slack)


def test_the_table_says_what_is_right_for_every_metric_of_replication() -> None:
    assert WELL.keys() == {name for name in METRICS if name.startswith("replication.")}


def unwell(seen: list[Observed]) -> list[str]:
    """What is not as in health."""
    named, *others = seen
    return sum((wrong(each, WELL) for each in others), wrong(named, {**WELL, **of_one(WELL)}))


def of_one(right: Mapping[str, Right]) -> dict[str, Right]:
    """What is right for the series that were selected: with one standby and its slot, what is right for all."""
    return {labelled(*each): right[each[0]] for each in SELECTED}


def wrong(seen: Observed, right: Mapping[str, Right]) -> list[str]:
    """Each sensor whose sample is not the one that is right, in words."""
    return [
        f"{name}: {seen.found.get(name)}, not {wanted.words}; the true lag was {seen.lag} s, {seen.behind} bytes"
        for name, wanted in right.items()
        if name not in seen.found or not wanted.fits(seen.found[name], seen)
    ]


def better_than_true(seen: Observed, slack: float) -> list[str]:
    """Readings that show a smaller lag than there was: the one thing that a sensor must never say."""
    true = {LAG: (seen.lag or 0.0) - slack, BYTES: seen.behind or 0}
    return [
        f"{sample}, and it was more than {true[metric]}"
        for name, sample in seen.found.items()
        if (metric := name.partition("{")[0]) in true and isinstance(sample, Reading) and sample.value < true[metric]
    ]
