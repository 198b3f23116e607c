"""The timeline of a run out of the frames of the flight recorder: real frames of a real guard among fakes."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.model import Dimension, Silence
from guard.ports import Frame
from guard.show.thinning import MOST, Steps, Thinned, Values
from guard.show.timeline import NOT_RECORDED, Point, Progress, Timeline, rates, with_gaps
from guard.show.tracing import Tracing
from tests.fakes import WALL, World, a_run, an_order, make_rule

AT = 1_000_000.0
RULE = make_rule(pause="> 5s", resume="< 2s for 3s", cancel=">= 60s", no_data="hold")


class Recorded:
    """A world whose frames become timelines."""

    def __init__(self, *rules: Any) -> None:
        self.world = World(*(rules or (RULE,)))
        self.frames: list[Frame] = []
        self.world.guard.hands = dataclasses.replace(self.world.guard.hands, record=self.frames.append)

    def run(self, seconds: int, lag: float | None = 0.0, rows: int = 0) -> None:
        """Let it go on for some seconds, with one value and so many more rows each second."""
        for _ in range(seconds):
            known = self.world.runs
            if known and rows:
                done = known[0].rows_done + rows, known[0].batches_done + 1
                self.world.runs = [dataclasses.replace(known[0], rows_done=done[0], batches_done=done[1])]
            for sensor in self.world.values:
                silent = Silence(sensor, "the source is away", self.world.now + 1)
                self.world.values[sensor] = silent if lag is None else lag
            self.world.tick(1)

    def timeline(self, since: float = 0.0, until: float | None = None) -> Timeline:
        """Of run 1 of m, from the frames as they are read from the disk."""
        tracing = Tracing("main", ("m", 1), since=since, until=until)
        for frame in self.frames:
            tracing.take(json.loads(json.dumps(frame.body)))
        return tracing.timeline()


@pytest.fixture
def paused_once() -> Recorded:
    """5 s of rest, 20 s at work, a breach of 10 s, and at work again."""
    recorded = Recorded()
    recorded.run(5, 0.5)
    recorded.world.runs = [a_run()]
    recorded.run(20, 1.0, rows=1000)
    recorded.run(1, 9.0, rows=1000)
    recorded.run(9, 7.0)
    recorded.run(15, 1.0, rows=500)
    return recorded


def test_phases_become_bands_with_the_reason_and_the_length_of_each(paused_once: Recorded) -> None:
    bands = paused_once.timeline().bands
    assert [band.kind for band in bands] == ["waiting", "running", "paused", "running"]
    pause = bands[2]
    assert "lag 9 s > 5s" in pause.because
    assert pause.until is not None
    assert 9 <= pause.until - pause.since <= 14
    assert bands[1].until == pause.since
    assert bands[3].until is None
    assert [band.kind for band in paused_once.timeline().holds] == ["waiting", "paused"]


def test_a_signal_has_its_limits_its_worst_and_what_it_was_in_each_stage(paused_once: Recorded) -> None:
    (signal,) = paused_once.timeline().signals
    assert (signal.name, signal.sensor, signal.dimension) == ("lag", "lag sensor", Dimension.SECONDS)
    assert [line.words for line in signal.limits] == ["pause > 5 s", "cancel >= 60 s", "resume < 2 s"]
    assert signal.worst is not None
    assert signal.worst.value == 9.0
    assert signal.past == ("pause",)
    stages = {stage.name: stage for stage in signal.stages}
    assert (stages["running"].worst, stages["running"].median) == (9.0, 1.0)
    assert stages["paused"].median == 7.0
    assert stages["before"].worst <= 1.0
    assert sum(stage.count for stage in signal.stages) == signal.readings
    assert {point.value for point in signal.points if point.value is not None} == {0.5, 1.0, 9.0, 7.0}


def test_each_reading_is_counted_once_though_whole_frames_say_them_again() -> None:
    recorded = Recorded()
    recorded.world.runs = [a_run()]
    recorded.run(5, 1.0)
    recorded.world.values = dict.fromkeys(recorded.world.values)  # its source hangs: the last reading stays the newest
    recorded.world.tick(700)
    assert len([frame for frame in recorded.frames if frame.whole]) == 3
    assert recorded.timeline().signals[0].readings == 5


def test_progress_stands_still_under_the_pause(paused_once: Recorded) -> None:
    timeline = paused_once.timeline()
    of, speed = rates(timeline.progress)
    pause = timeline.bands[2]
    assert pause.until is not None
    assert of == "rows"
    assert timeline.progress[-1].rows == 21_000 + 15 * 500
    held = [point.value for point in speed if pause.since + 3 <= point.wall <= pause.since + 8]
    assert held
    assert set(held) == {0.0}
    assert max(point.value or 0.0 for point in speed) == pytest.approx(1000, rel=0.35)


def test_silences_say_why_and_are_no_zero() -> None:
    recorded = Recorded()
    recorded.world.runs = [a_run()]
    recorded.run(5, 1.0)
    recorded.run(3, None)
    recorded.run(5, 1.0)
    (signal,) = recorded.timeline().signals
    silent = [point for point in signal.points if point.value is None]
    assert silent
    assert {point.why for point in silent} == {"the source is away"}
    assert signal.silences == 3
    assert all(point.value == 1.0 for point in signal.points if point.value is not None)


def test_what_lies_outside_the_drawn_time_still_counts_as_before_or_after(paused_once: Recorded) -> None:
    whole, part = paused_once.timeline(), paused_once.timeline(WALL + 110, WALL + 120)
    assert [signal.stages for signal in part.signals] == [signal.stages for signal in whole.signals]
    assert [point.wall for point in part.signals[0].points] == [WALL + second for second in range(110, 121)]
    assert (part.since, part.until) == (WALL + 110, WALL + 120)


def test_a_limit_against_the_baseline_is_a_number_once_there_is_one() -> None:
    rule = make_rule(name="p99", pause="> 2x baseline and > 200ms")
    tracing = Tracing("main", ("m", 1), since=0.0)
    recorded = Recorded(rule)
    recorded.world.runs = [a_run()]
    recorded.run(1, 0.1)
    body = json.loads(json.dumps(recorded.frames[0].body))
    tracing.take(body)
    assert [line.words for line in tracing.timeline().signals[0].limits] == ["pause > 200 ms", "resume <= 140 ms"]
    question = recorded.world.guard.board.questions["p99"]
    tracing.take(
        {"n": 1, "w": WALL + 1, "t": 1.0, "b": {question: {"value": 0.15}}, "s": [["p99 sensor", 0.25, 1.0, "", []]]}
    )
    (signal,) = tracing.timeline().signals
    assert [line.words for line in signal.limits] == [
        "pause > 2x baseline (300 ms)",
        "resume <= 1.7x baseline (255 ms)",
    ]
    assert (signal.baseline, signal.past) == (0.15, ())


def test_rules_that_were_changed_during_the_run_are_a_mark_and_the_newest_limits_are_drawn() -> None:
    recorded = Recorded()
    recorded.world.runs = [a_run()]
    recorded.run(3, 1.0)
    tighter = dataclasses.replace(recorded.world.options, rules=(make_rule(pause="> 3s", resume="< 2s for 3s"),))
    recorded.world.guard.reconfigure(tighter, {})
    recorded.run(3, 1.0)
    timeline = recorded.timeline()
    assert [(mark.kind, mark.words) for mark in timeline.marks] == [
        ("reconfigured", "the configuration was read again")
    ]
    assert [line.words for line in timeline.signals[0].limits] == ["pause > 3 s", "resume < 2 s"]


def test_a_guard_that_was_killed_and_started_again_is_a_mark_and_frames_that_were_lost_are_told() -> None:
    recorded = Recorded()
    recorded.world.runs = [a_run()]
    recorded.run(5, 1.0)
    bodies = [json.loads(json.dumps(frame.body)) for frame in recorded.frames]
    again = {**bodies[0], "w": bodies[-1]["w"] + 10}
    again["whole"] = {
        **again["whole"],
        "states": [{"migration": "m", "run_id": 1, "phase": "running", "since_wall": 0.0}],
    }
    lost = {"n": 3, "w": again["w"] + 7, "t": 0.0}
    tracing = Tracing("main", ("m", 1), since=0.0)
    for body in (*bodies, again, lost):
        tracing.take(body)
    timeline = tracing.timeline()
    assert [(mark.kind, mark.wall) for mark in timeline.marks] == [("guard_started", again["w"])]
    assert timeline.missing == 7.0


def test_a_rule_that_an_operator_muted_for_this_migration_is_a_mark_and_its_end_too() -> None:
    recorded = Recorded()
    recorded.world.runs = [a_run()]
    recorded.run(3, 1.0)
    recorded.world.orders = [an_order("mute", rule="lag"), an_order("mute", "other", 2, rule="lag")]
    recorded.run(400, 1.0)
    recorded.world.orders = []
    recorded.run(2, 1.0)
    marks = recorded.timeline().marks
    assert [(mark.kind, mark.words) for mark in marks] == [
        ("muted", "rule lag was muted by an operator"),
        ("unmuted", "rule lag was unmuted by an operator"),
    ]
    assert marks[1].wall - marks[0].wall == 400


def test_another_run_and_a_tape_without_limits_leave_an_honest_timeline(paused_once: Recorded) -> None:
    tracing = Tracing("main", ("other", 7), since=0.0)
    for frame in paused_once.frames:
        body = json.loads(json.dumps(frame.body))
        if "whole" in body:
            del body["whole"]["limits"]
        tracing.take(body)
    timeline = tracing.timeline()
    assert (timeline.bands, timeline.progress) == ((), ())
    (signal,) = timeline.signals
    assert (signal.name, signal.limits, signal.past, signal.worst) == ("lag sensor", (), (), None)
    assert [stage.name for stage in signal.stages] == ["before"]
    tracing.take({"n": 0, "w": WALL, "t": 0.0, "s": [["replication.lag_bytes{standby=a}", 9.0, 0.0, "", []]]})
    assert Dimension.BYTES in {each.dimension for each in tracing.timeline().signals}


@given(st.lists(st.tuples(st.floats(0, 1e6), st.none() | st.floats(-1e9, 1e9)), max_size=1000))
def test_a_thinned_series_is_bounded_and_keeps_its_peaks_and_its_silences(
    said: list[tuple[float, float | None]],
) -> None:
    thinned = Thinned()
    for wall, value in said:
        thinned.add(Point(wall, value, "" if value is not None else "why"))
    kept = thinned.points()
    values = [value for _, value in said if value is not None]
    assert len(kept) <= MOST
    assert [point.wall for point in kept] == sorted(point.wall for point in kept)
    assert {(point.wall, point.value) for point in kept} <= {(wall, value) for wall, value in said}
    if values:
        known = [point.value for point in kept if point.value is not None]
        assert (min(known), max(known)) == (min(values), max(values))
    assert any(point.value is None for point in kept) == any(value is None for _, value in said)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=500))
def test_count_median_and_worst_are_those_of_all_values(values: list[float]) -> None:
    kept = Values()
    for value in values:
        kept.add(value)
    stage = kept.stage("running", less_is_worse=False)
    ordered = sorted(values)
    assert (stage.count, stage.worst) == (len(values), ordered[-1])
    middle = len(ordered) // 2
    assert math.isclose(stage.median, (ordered[middle] + ordered[-middle - 1]) / 2, rel_tol=1e-9, abs_tol=1e-9)
    assert kept.stage("running", less_is_worse=True).worst == ordered[0]


def test_of_more_values_than_are_kept_the_median_is_still_theirs() -> None:
    kept = Values()
    for number in range(100_000):
        kept.add(float(number % 1000))
    stage = kept.stage("running", less_is_worse=False)
    assert (stage.count, stage.worst) == (100_000, 999.0)
    assert stage.median == pytest.approx(500, abs=5)


def test_a_long_progress_is_bounded_and_ends_with_its_last_word() -> None:
    steps = Steps()
    for second in range(20_000):
        steps.add(Progress(float(second), second * 10, second))
    kept = steps.steps()
    assert len(kept) <= MOST
    assert kept[-1] == Progress(19_999.0, 199_990, 19_999)
    of, speed = rates(kept)
    assert of == "rows"
    assert {round(point.value or 0.0, 6) for point in speed} == {10.0}
    assert rates([Progress(0.0, 0, 0), Progress(10.0, 0, 5)]) == ("batches", (Point(0.0, 0.5), Point(10.0, 0.5)))
    assert rates([]) == ("batches", ())


def test_a_series_of_hours_is_as_short_as_one_of_minutes_and_keeps_its_one_peak() -> None:
    thinned = Thinned()
    for second in range(20_000):
        thinned.add(Point(AT + second, 9.0 if second == 7777 else 1.0 + second % 2))
    kept = thinned.points()
    assert MOST / 4 < len(kept) <= MOST
    assert [point.wall for point in kept if point.value == 9.0] == [AT + 7777]


def test_speed_is_not_torn_by_a_client_that_reports_once_a_second_and_is_seen_more_often() -> None:
    seen = [Progress(AT + tenth / 10, tenth // 10 * 500, tenth // 10) for tenth in range(301)]
    of, speed = rates(seen)
    assert of == "rows"
    assert len(speed) == 30
    assert all(400 <= (point.value or 0.0) <= 600 for point in speed)


def test_time_in_which_nothing_was_recorded_is_a_gap_and_not_a_line() -> None:
    points = (Point(0.0, 1.0), Point(1.0, 1.0), Point(60.0, 1.0), Point(61.0, None, "away"), Point(99.0, 1.0))
    assert [(p.wall, p.why) for p in with_gaps(points, 5.0) if p.value is None] == [(3.5, NOT_RECORDED), (61.0, "away")]
    assert with_gaps((), 5.0) == ()
