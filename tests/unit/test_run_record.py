"""The record of a run: how long it was in each phase, which of that was a pause, and since when the pause held."""

from guard.cli.record import EventSeen, baselines, cancels, pauses, stretches, verification


def event(at: float, kind: str, phase: str, because: str = "") -> EventSeen:
    return EventSeen(kind, phase, because or kind, at, None, None)


TRAIL = (
    event(10.0, "registered", "waiting"),
    event(11.0, "started", "running", "all is well"),
    event(12.0, "applied", "running"),
    event(20.0, "paused", "paused", "lag 7 s"),
    event(20.5, "effective", "paused", "lag 7 s"),
    event(25.0, "effective", "paused"),
    event(26.0, "lasts", "paused"),
    event(30.0, "resumed", "running"),
    event(31.0, "cancelled", "running", "3 queued"),
    event(40.0, "paused", "paused", "lag 9 s"),
)


def test_a_phase_lasts_until_the_next_one_begins_and_keeps_the_reason_of_its_beginning() -> None:
    found = [(each.phase, each.since, each.until, each.because) for each in stretches(TRAIL)]
    assert found == [
        ("waiting", 10.0, 11.0, "registered"),
        ("running", 11.0, 20.0, "all is well"),
        ("paused", 20.0, 30.0, "lag 7 s"),
        ("running", 30.0, 40.0, "resumed"),
        ("paused", 40.0, None, "lag 9 s"),
    ]


def test_a_pause_is_effective_from_the_first_time_that_it_was_seen_to_hold() -> None:
    first, second = pauses(TRAIL)
    assert (first.effective_after, first.seconds(99.0)) == (0.5, 10.0)
    assert (second.effective_after, second.seconds(45.0)) == (None, 5.0)


def test_events_without_a_phase_and_none_at_all_make_no_stretch() -> None:
    assert stretches(()) == ()
    assert stretches((event(1.0, "moved", ""),)) == ()


def test_it_says_what_was_cancelled_for_a_queue_and_what_for_not_pausing() -> None:
    told = event(41.0, "stopped", "paused", "told to pause 30 s ago")
    assert [each.because for each in cancels((*TRAIL, told))] == ["3 queued", "told to pause 30 s ago"]


def test_baselines_are_those_that_were_written_down_last() -> None:
    def measured(value: float | None) -> EventSeen:
        known = [] if value is None else [{"of": "p99#1", "value": value}]
        return EventSeen("paused", "paused", "", 0.0, None, None, {}, known)

    assert baselines((measured(1.0), measured(2.0), measured(None), TRAIL[0])) == [{"of": "p99#1", "value": 2.0}]
    assert baselines(TRAIL) == []


def test_of_checks_that_were_asked_anew_the_last_word_counts() -> None:
    def asked(when: str, *, holds: bool) -> EventSeen:
        return EventSeen("checked", "waiting", "", 0.0, None, {"when": when, "answers": [{"holds": holds}]})

    trail = (asked("before", holds=False), asked("before", holds=True), asked("after", holds=False))
    assert verification(trail, "before") == [{"holds": True}]
    assert verification(trail, "after") == [{"holds": False}]
    assert verification(TRAIL, "before") == []
