"""Answers that throttles have been seen to give and must not: each has a test that this guard cannot give it.

An error that is lost among healthy replicas, a value that outlives its sensor, a grave limit that is only looked at
beside a lesser one, an emergency stop that waits for a hook. That each failure of a sensor is a silence, and never
zero, is tried with servers: integration/test_every_sensor.py and test_states_of_replication.py.
"""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.cycle import Chore
from guard.judge.verdicts import Streak, judge
from guard.model import Level, Reading, Sample, Silence
from guard.poll.lag import BYTES, FLUSH, REPLY_AGE, SECONDS, WRITE, LagClock, ReplyClock, Sender
from guard.poll.standbys import Expected, Standbys
from tests.fakes import FakeHook, World, a_run, an_order, make_rule

# -- an error is not lost among healthy replicas, in whatever order they come ------------------------------------------

NAMES = ("a", "b", "c")
WELL = Sender(
    pid=1, name="a", state="streaming", positions_known=True, replay_lsn=2000, replay_lag=None, replied_wall=1.0,
    reply_age=0.1, write_lsn=2000, flush_lsn=2000,
)  # fmt: skip
LSNS = st.sampled_from([500, 1200, 1700, 2000])
ROWS = st.builds(
    dataclasses.replace,
    st.just(WELL),
    state=st.sampled_from(["streaming", "streaming", "streaming", "catchup", "backup", "startup", None]),
    replay_lsn=st.one_of(LSNS, LSNS, st.none()),
    replay_lag=st.sampled_from([None, 0.0, 3.0, 60.0]),
    replied_wall=st.sampled_from([1.0, 1.0, 1.0, None]),
    reply_age=st.sampled_from([0.1, 2.0, 30.0]),
    write_lsn=LSNS,
    flush_lsn=LSNS,
)
REPLICAS = st.lists(ROWS, min_size=1, max_size=3).map(
    lambda rows: [dataclasses.replace(row, pid=n, name=NAMES[n]) for n, row in enumerate(rows)]
)
EXPECTED: st.SearchStrategy[Expected] = st.sampled_from([("a",), ("a", "b"), NAMES, 1, 2, 3])
METRICS = st.sampled_from([SECONDS, BYTES, WRITE, FLUSH, REPLY_AGE])
WORSE = st.sampled_from(
    [
        {"state": None},
        {"state": "backup"},
        {"replay_lsn": None},
        {"replied_wall": None, "reply_age": None},
        {"reply_age": 60.0},
        {"write_lsn": 400, "flush_lsn": 400},
    ]
)


def seen(rows: list[Sender], expected: Expected, metric: str) -> Sample:
    """What is told of these rows by a guard that has watched the primary for 20 s."""
    clock = LagClock()
    for now, lsn in ((0.0, 1000), (16.0, 1500), (20.0, 2000)):
        clock.advance(now, lsn, "00000001")
    return Standbys(rows, 2000, 20.0, (clock, ReplyClock(5.0, 15.0))).worst(metric, expected)


@settings(max_examples=250)
@given(REPLICAS, EXPECTED, METRICS)
def test_in_whatever_order_replicas_are_listed_the_answer_is_the_same(
    rows: list[Sender], expected: Expected, metric: str
) -> None:
    answers = {repr(seen(list(order), expected, metric)) for order in itertools.permutations(rows)}
    assert len(answers) == 1


@settings(max_examples=400)
@given(REPLICAS, EXPECTED, METRICS, st.integers(0, 2), st.one_of(st.none(), WORSE))
def test_a_replica_that_gets_worse_or_is_gone_never_makes_the_answer_better(
    rows: list[Sender], expected: Expected, metric: str, which: int, change: dict[str, object] | None
) -> None:
    worse = [row for row in rows if row.pid != which]
    if change is not None and which < len(rows):
        further = {"replay_lsn": 400} if rows[which].replay_lsn is not None else {}
        worse.append(dataclasses.replace(rows[which], **{**further, **change}))  # type: ignore[arg-type]
    after = seen(worse, expected, metric)
    if isinstance(after, Reading):
        before = seen(rows, expected, metric)
        assert isinstance(before, Reading)
        assert before.value <= after.value


@pytest.mark.parametrize("metric", [SECONDS, BYTES, WRITE, FLUSH])
@pytest.mark.parametrize("expected", [NAMES, 3])
def test_one_of_three_replicas_that_refuses_is_never_outvoted_by_the_two_that_are_well(
    expected: Expected, metric: str
) -> None:
    lagging = dataclasses.replace(WELL, pid=2, name="b", replay_lsn=1500, write_lsn=1500, flush_lsn=1500)
    refusing = dataclasses.replace(WELL, pid=3, name="c", state=None, replay_lsn=None, positions_known=False)
    for order in itertools.permutations([WELL, lagging, refusing]):
        sample = seen(list(order), expected, metric)
        assert isinstance(sample, Silence)
        assert sample.at_least is not None
        assert sample.at_least > 0  # and what lags is not forgotten over it


# -- a value does not outlive its sensor -------------------------------------------------------------------------------


def running(*rules: str, **more: object) -> World:
    """A run at work under rules of these kinds, all well."""
    made = {
        "lag": make_rule("lag", pause="> 5s", resume="< 3s for 20s"),
        "queue": make_rule("queue", pause="", cancel=">= 3s", resume="< 1s for 1s"),
        "errors": make_rule("errors", pause="", rollback="> 5s", resume="< 1s for 1s"),
    }
    world = World(*(made[name] for name in rules), **more)  # type: ignore[arg-type]
    world.runs = [a_run()]
    world.tick(3)
    assert world.word() == "proceed"
    world.runs = [a_run(rows_done=10)]  # else nothing is there to be rolled back
    world.tick(1)
    return world


def test_a_sensor_that_hangs_after_a_good_value_lets_nobody_go_on_by_it() -> None:
    world = running("lag")
    world.values["lag sensor"] = 9.0
    world.tick(2)
    assert world.word() == "pause"
    world.values["lag sensor"] = 0.0
    world.tick(2)
    world.values["lag sensor"] = None
    world.tick(60)
    assert world.word() == "pause"
    assert world.phases == {"m": "paused"}


def test_a_bad_value_that_nobody_repeats_is_not_told_as_one_that_lasts() -> None:
    """The phantom of a replica that is long gone holds the migration as what is unknown does, and under that name."""
    rule = make_rule("lag", pause="> 5s")
    verdict, streak = judge(rule, Streak(), Reading(rule.sensor, 9.0, 100.0), 100.0)
    assert verdict.level is Level.PAUSE
    verdict, _ = judge(rule, streak, Reading(rule.sensor, 9.0, 100.0), 100.0 + rule.stale_after + 1.0)
    assert verdict.level is Level.UNKNOWN
    assert "the last value, 9 s, is" in verdict.because


# -- a grave limit is looked at without a lesser one beside it, and whatever else holds the migration ------------------


@pytest.mark.parametrize("lag", [9.0, Silence("lag sensor", "no answer", 100.0), None])
def test_a_cancel_limit_alone_clears_its_queue_while_another_rule_has_paused(lag: float | Silence | None) -> None:
    world = running("lag", "queue")
    world.values["lag sensor"] = lag
    world.tick(12)
    assert (world.word(), world.canceller.cleared) == ("pause", [])
    world.values["queue sensor"] = 3.0
    world.tick(2)
    assert world.canceller.cleared[0] == ("queue", False)


def test_a_rollback_limit_alone_fires_while_another_rule_has_paused() -> None:
    hook = FakeHook()
    world = running("lag", "errors", hook=hook)
    world.values["lag sensor"] = 9.0
    world.tick(5)
    assert (world.word(), hook.runs) == ("pause", [])
    world.values["errors sensor"] = 9.0
    world.tick(5)
    assert [facts["run_id"] for facts in hook.runs] == [1]


# -- a hook that hangs keeps no stop from anybody ----------------------------------------------------------------------


def test_while_a_rollback_hook_hangs_queues_are_cleared_and_orders_of_operators_obeyed() -> None:
    world = running("queue", "errors", hook=FakeHook())
    hanging: list[Chore] = []

    def go_on(seconds: int) -> None:
        """As tick() does, but the rollback's chore never ends."""
        for _ in range(seconds):
            world.now += 1.0
            world.look()
            world.step()
            hanging.extend(chore for chore in world.chores if chore.kind == "rollback")
            world.chores = [chore for chore in world.chores if chore.kind != "rollback"]
            world.work()

    world.values["errors sensor"] = 9.0
    go_on(5)
    assert (len(hanging), world.phases["m"]) == (1, "rolling back")
    world.values["errors sensor"] = 0.0
    world.runs.append(a_run(2, "other"))
    go_on(5)
    assert world.word("other") == "proceed"
    world.values["queue sensor"] = 3.0
    go_on(1)
    assert world.canceller.cleared == [("queue", False)]
    world.orders = [an_order("abort", "other")]
    go_on(1)
    assert world.word("other") == "abort"
    assert len(hanging) == 1
    hanging[0].work.close()
