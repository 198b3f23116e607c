"""Pacing by a window of un-replayed WAL: its arithmetic, and what comes of it beside a standby that is simulated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from guard.client.valve import FRESH, TOLD_AFTER, UNKNOWN, Limits, Seen, Valve
from guard.client.window import LEAST, Ease, Replay, Writes, low, window

MB = 1 << 20
TICK = 0.001


@dataclass
class World:
    """A migration under a valve, one standby, and others who write; seconds and bytes."""

    valve: Valve
    rate: Callable[[float], float]
    """At which the standby replays."""
    foreign: float = 0.0
    """Bytes/s of other writers."""
    expected: int | None = 1
    delay: float = 0.0
    """Seconds by which what is seen of the standby is late."""
    now: float = 100.0
    written: float = 0.0
    replayed: float = 0.0
    peak: float = 0.0
    went: list[float] = field(default_factory=list)
    whys: set[str] = field(default_factory=set)
    _seen: list[float] = field(default_factory=list)

    def pass_time(self, seconds: float) -> None:
        for _ in range(max(1, round(seconds / TICK))):
            self.now += TICK
            self.written += self.foreign * TICK
            self.replayed = min(self.written, self.replayed + self.rate(self.now) * TICK)
            self.peak = max(self.peak, self.written - self.replayed)
            self._seen.append(self.replayed)

    def look(self) -> Seen:
        late = round(self.delay / TICK)
        replayed = int(self._seen[-late] if late and len(self._seen) >= late else self.replayed if not late else 0)
        return Seen(int(self.written) - replayed, "replica1", replayed, int(self.written), 1, self.expected)

    def wait(self, at_most: float = 1e9) -> bool:
        """Before a batch; whether it may begin within that time."""
        end = self.now + at_most
        if self.valve.may_go_unseen(self.now):
            return True
        self.valve.ended(self.now, 1.0)
        while (seconds := self.valve.hear(self.look(), self.now)) > 0:
            self.whys.add(self.valve.why)
            if self.now > end:
                return False
            self.pass_time(seconds)
        return True

    def run(self, batches: int, size: float = 0.2 * MB, took: float = 0.005) -> float:
        """So many batches, each of which writes as it is committed; seconds until the standby has caught up."""
        began = self.now
        for _ in range(batches):
            self.wait()
            self.went.append(self.now)
            self.pass_time(took)
            self.written += size
        while self.replayed < self.written - self.foreign:
            self.pass_time(0.01)
        return self.now - began


def paced(
    rate: float | Callable[[float], float], *, foreign: float = 0.0, delay: float = 0.0, **limits: float
) -> World:
    speed = rate if callable(rate) else lambda _: rate
    return World(Valve(Limits(**{"pause_limit": 1.0, **limits})), speed, foreign, delay=delay)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "share", "wanted"),
    [
        ([], 0.25, None),
        ([7.0], 0.25, 7.0),
        ([4.0, 1.0, 3.0, 2.0], 0.25, 1.0),
        ([5.0, 4.0, 1.0, 3.0, 2.0], 0.25, 2.0),
        ([2.0, 8.0] * 50, 0.25, 2.0),
        ([1.0] + [8.0] * 4, 0.25, 8.0),
        ([3.0, 1.0], 0.0, 1.0),
    ],
)
def test_a_low_percentile_is_one_of_the_values(values: list[float], share: float, wanted: float | None) -> None:
    assert low(values, share) == wanted


@pytest.mark.parametrize(
    ("rate", "limit", "batch", "wanted"),
    [
        (None, 5.0, 0, 5 * MB),
        (None, 5.0, 3 * MB, 6 * MB),
        (None, 0.5, 0, MB),
        (8.0 * MB, 1.0, 1000, 2 * MB),
        (8.0 * MB, 10.0, 1000, 20 * MB),
        (8.0 * MB, 1.0, 3 * MB, 6 * MB),
        (0.0, 10.0, 0, LEAST),
        (2.0 * MB, 1.0, 1000, MB),
        (1.0 * MB, 1.0, 1000, MB // 2),
    ],
)
def test_the_window_is_a_quarter_of_the_limit_at_the_rate_and_at_least_two_batches(
    rate: float | None, limit: float, batch: int, wanted: int
) -> None:
    assert window(rate, limit, batch) == wanted


def test_a_rate_counts_for_a_minute_and_only_where_the_standby_had_enough_to_do_all_the_while() -> None:
    replay = Replay()
    for n in range(11):
        replay.look(n / 10, "a", n * 100, n * 100 + 101)
    assert replay.rate(1.0) == pytest.approx(1000)
    for n in range(11, 40):  # all that was there at the look before is replayed
        replay.look(n / 10, "a", 1000 + n, 1000 + n, waits=False)
    assert replay.rate(4.0) == pytest.approx(1000)
    assert replay.rate(61.5) is None


def test_short_times_of_waiting_for_a_standby_count_together_up_to_what_it_had_to_do() -> None:
    replay = Replay()
    for n in range(30):
        at, position = n * 1.0, n * 10_000
        replay.look(at, "a", position, position + 500)
        replay.look(at + 0.01, "a", position + 50, position + 500)
        replay.look(at + 0.05, "a", position + 600, position + 600, waits=False)  # and idle for a part of that
        replay.look(at + 0.06, "a", position + 600, position + 600, waits=False)
    assert replay.rate(30.0) == pytest.approx(10_000)


@pytest.mark.parametrize(
    ("name", "at", "position"),
    [("b", 0.6, 600), ("a", 9.0, 600), ("a", 0.6, -1)],
    ids=["another standby", "nobody looked for long", "it went back"],
)
def test_two_looks_that_do_not_belong_together_are_no_rate(name: str, at: float, position: int) -> None:
    replay = Replay()
    replay.look(0.0, "a", 0, 10_000)
    replay.look(at, name, position, 10_000)
    assert replay.rate(at) is None
    replay.look(at + 0.5, name, position + 500, 10_000)
    assert replay.rate(at + 0.5) == pytest.approx(1000)


def test_what_comes_while_no_batch_runs_is_not_counted_as_a_batchs() -> None:
    writes = Writes()
    assert writes.worked(0.0, 0, 0) is None
    assert writes.batch == 0
    writes.rested(0.0, 0)
    assert writes.foreign == 0
    writes.rested(1.0, 3000)
    writes.rested(2.0, 6000)
    assert writes.foreign == pytest.approx(3000)
    assert writes.worked(3.0, 6000 + 3000 + 500, 1) == 500
    assert writes.worked(3.5, 9500 + 1500 + 1000, 2) == 500
    assert writes.worked(4.5, 12000, 1) == 0  # others wrote less than they use to
    assert writes.batch == 500
    writes.rested(60.0, 12000)
    assert writes.foreign < 3


@pytest.mark.parametrize(("delay", "rate"), [(0.0, 8.0), (0.1, 8.0), (0.0, 60.0)])
def test_a_standby_that_cannot_keep_up_stays_busy_and_within_the_limit(delay: float, rate: float) -> None:
    world = paced(rate * MB, delay=delay)
    size = rate / 40
    took = world.run(500, size * MB, took=0.002)
    assert took < 1.05 * 500 * size / rate
    assert world.peak / (rate * MB) < 0.5  # of the limit of 1 s
    assert world.valve.window == pytest.approx(rate / 4 * MB, rel=0.3)


def test_a_standby_whose_speed_jumps_keeps_the_limit_at_its_lower_speed() -> None:
    world = paced(lambda now: (8 if now % 6 < 3 else 2) * MB)
    before = world.now
    took = world.run(500)
    lines = sum((8 if (before + n / 100) % 6 < 3 else 2) / 100 for n in range(round(took * 100)))
    assert lines < 1.05 * 100
    assert world.peak < 2.5 * MB  # at 2 MB/s little more than a second
    assert world.valve.window == pytest.approx(MB, rel=0.2)


@pytest.mark.parametrize("delay", [0.0, 0.05])
def test_a_standby_that_keeps_up_costs_no_time(delay: float) -> None:
    world = paced(400 * MB, delay=delay, pause_limit=10.0)
    assert world.run(2000, took=0.005) < 1.05 * 2000 * 0.005 + 1


def test_the_limit_is_the_guards_unless_the_caller_says_another() -> None:
    guards, own = Valve(Limits(window=None)), Valve(Limits(pause_limit=2.0))
    for valve in (guards, own):
        for n in range(12):
            valve.hear(Seen(50 * MB, "a", n * MB, 50 * MB + n * MB, 1, 1, None, 8.0), n / 10)
    assert guards.window == pytest.approx(20 * MB)
    assert own.window == pytest.approx(5 * MB)
    assert guards.batch_bytes == guards.window // 4
    assert Valve(Limits()).batch_bytes is None
    fixed = Valve(Limits(window=400))
    assert (fixed.window, fixed.batch_bytes) == (400, 100)


def test_a_standby_that_stands_still_for_long_is_waited_for_and_not_for_ever() -> None:
    world = paced(lambda now: 0 if 101 < now < 141 else 8 * MB)
    world.run(200)
    late = [at for at in world.went if 102 < at < 141]
    assert late == []
    assert len(world.went) == 200
    assert "slow" in world.whys


def test_without_a_number_no_batch_begins_and_the_reason_is_told() -> None:
    valve = Valve(Limits())
    valve.ended(0.0, 1.0)
    for n in range(100):
        seen = Seen(None, written=n, streaming=0, expected=1, because="replica1 does not stream")
        assert valve.hear(seen, n / 2) == UNKNOWN
        assert not valve.wants_nudge(n / 2 + 0.4)
    assert (valve.why, valve.because) == ("unknown", "replica1 does not stream")
    assert not valve.may_go_unseen(50.0)
    assert valve.hear(Seen(100, "replica1", 0, 100, 1, 1), 60.0) == 0
    assert valve.why == ""
    assert valve.hear(Seen(None), 61.0) > 0
    assert valve.because


def test_who_is_kept_waiting_by_others_alone_says_so_and_after_a_while_alarms() -> None:
    world = paced(8 * MB, foreign=8.0 * MB, alert_after=30.0)
    world.run(5, size=0.1 * MB)
    world.pass_time(FRESH)
    world.written += 30 * MB
    assert not world.wait(at_most=TOLD_AFTER - 1)
    assert world.valve.why == ""
    assert not world.wait(at_most=10)
    assert world.valve.why == "starved"
    assert world.valve.because.startswith("starved by other writers (8.0 MB/s): replica1 has ")
    assert world.valve.alarm == ""
    assert not world.wait(at_most=20)
    assert world.valve.alarm.startswith("starved by other writers (8.0 MB/s)")
    world.foreign = 0
    assert world.wait(at_most=20)
    assert (world.valve.alarm, world.valve.why) == ("", "")


def test_its_own_wal_starves_nobody() -> None:
    world = paced(0.5 * MB)
    world.run(5)
    world.written += 40 * MB
    assert not world.wait(at_most=20)
    assert world.valve.why == "slow"
    assert world.valve.because.startswith("replica1 has ")


def test_a_least_share_goes_on_among_others_who_fill_the_window_alone() -> None:
    world = paced(8 * MB, foreign=8.0 * MB, least_share=0.1)
    world.run(5, size=0.1 * MB, took=0.1)
    world.written += 30 * MB
    starts = []
    for _ in range(3):
        assert world.wait(at_most=30)
        starts.append(world.now)
        world.pass_time(0.1)
        world.written += 0.1 * MB
    # A batch of a tenth of a second each second.
    assert starts[1] - starts[0] == pytest.approx(1.0, abs=0.15)
    assert starts[2] - starts[1] == pytest.approx(1.0, abs=0.15)


def test_where_there_is_room_for_several_batches_it_does_not_ask_before_each() -> None:
    world = paced(8 * MB, window=10 * MB)
    assert not world.valve.may_go_unseen(world.now)  # nobody has looked yet
    world.wait()
    world.pass_time(0.01)
    world.written += 1 * MB
    world.wait()
    unseen = 0
    while world.valve.may_go_unseen(world.now):
        unseen += 1
        world.written += 1 * MB
    assert unseen == 3  # 9 MB of room, of which half is left to others, and one batch was let go by the look
    world.replayed = world.written
    world.wait()
    assert not world.valve.may_go_unseen(world.now + FRESH)


def test_a_standby_is_nudged_only_while_it_is_waited_for_and_tells_nothing_by_itself() -> None:
    valve = Valve(Limits(window=MB))
    assert not valve.wants_nudge(0.0)
    valve.ended(0.0, 1.0)
    valve.hear(Seen(2 * MB, "a", 0, 2 * MB, 1, 1), 0.0)
    assert not valve.wants_nudge(0.05)
    assert valve.wants_nudge(0.15)
    assert not valve.wants_nudge(0.2)
    valve.hear(Seen(2 * MB, "a", 1, 2 * MB, 1, 1), 0.3)
    assert not valve.wants_nudge(0.35)
    assert valve.wants_nudge(0.45)


def test_where_no_standby_is_expected_it_rests_by_how_slow_batches_have_become() -> None:
    valve, now = Valve(Limits()), 0.0
    nobody = Seen(None, written=0, streaming=0, expected=0)
    rests = []
    for took in [0.1] * 30 + [0.4] * 10:
        valve.ended(now, 10.0)
        rests.append(rest := valve.hear(nobody, now))
        now += rest
        while valve.hear(nobody, now) > 0:
            now += 0.01
        now += took
    assert rests[:31] == [0.0] * 31
    assert rests[-1] == pytest.approx(0.2)
    assert valve.batch_bytes is None


def test_more_work_is_allowed_more_time() -> None:
    ease = Ease()
    assert [ease.rest(0.1, 10) for _ in range(30)] == [0.0] * 30
    assert [ease.rest(0.8, 80) for _ in range(5)] == [0.0] * 5
    assert ease.rest(5.0, 0) == 0
    assert [ease.rest(0.8, 10) > 0 for _ in range(3)] == [False, False, True]
    for _ in range(5):
        assert ease.rest(30.0, 10) <= 1.0
