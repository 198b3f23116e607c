"""Doors that cannot connect try less and less often, and at once when another one has come through."""

from guard.postgres.backoff import Arrivals, Backoff


def test_the_wait_doubles_up_to_ten_seconds_with_jitter_and_begins_anew_after_a_success() -> None:
    backoff = Backoff(Arrivals())
    assert backoff.left(0.0) == 0.0
    for number in range(2000):
        backoff.failed(0.0, "refused")
        longest = min(10.0, 0.25 * 2.0 ** min(number, 30))
        assert longest / 2 <= backoff.left(0.0) <= longest
    assert backoff.left(9.0) <= 1.0
    assert backoff.why == "refused"
    backoff.arrived(11.0)
    backoff.failed(12.0, "refused")
    assert backoff.left(12.0) <= 0.25


def test_one_door_that_comes_through_ends_the_wait_of_the_others_once() -> None:
    arrivals = Arrivals()
    probe, signal = Backoff(arrivals), Backoff(arrivals)
    for _ in range(10):
        probe.failed(0.0, "no connection")
    signal.failed(0.0, "no connection")
    assert probe.left(1.0) > 3
    signal.arrived(1.0)
    assert probe.left(1.0) == 0.0
    # It was let try at once and failed all the same: what keeps it out is its own trouble.
    probe.failed(1.5, "no connection")
    assert probe.left(1.5) > 3


def test_whoever_is_in_a_hurry_may_try_at_once() -> None:
    backoff = Backoff(Arrivals())
    for _ in range(10):
        backoff.failed(0.0, "no connection")
    backoff.hurry()
    assert backoff.left(0.0) == 0.0
    backoff.failed(0.0, "no connection")
    assert backoff.left(0.0) > 3
    backoff.forget()
    assert backoff.left(0.0) == 0.0
