"""The size of a backfill's batches: it follows the time that they take, and keeps clear of where others wait."""

import itertools

import pytest

from guard.client.backfill import BackfillRefused, Definition, Manner
from guard.client.backfill.steering import FIRST, Backoff, Steering


def sizes(steering: Steering, per_key: float, batches: int) -> list[int]:
    """Sizes of the next batches on a table where a key takes so many seconds."""
    seen = []
    for _ in range(batches):
        seen.append(steering.size)
        steering.took(steering.size * per_key, steering.size)
    return seen


def test_a_batch_comes_to_take_the_time_that_is_aimed_at_and_changes_by_two_at_most() -> None:
    seen = sizes(Steering(0.5, 10_000), 0.5 / 4000, 8)
    assert seen[:4] == [FIRST, 1000, 2000, 4000]
    assert set(seen[3:]) == {4000}
    slow = sizes(Steering(0.5, 10_000), 0.5 / 30, 12)
    assert slow[:3] == [500, 250, 125]
    assert slow[-1] == 30


def test_a_batch_has_never_more_keys_than_allowed_and_never_none() -> None:
    assert max(sizes(Steering(0.5, 3000), 1e-9, 20)) == 3000
    assert sizes(Steering(0.5, 3000), 100.0, 20)[-1] == 1
    assert Steering(0.5, 7).size == 7


def test_the_rest_of_a_pass_says_nothing_of_the_next_batch() -> None:
    steering = Steering(0.5, 10_000)
    steering.took(0.001, 3)
    assert steering.size == FIRST


def test_after_a_wait_for_others_it_is_half_and_grows_slowly_where_it_had_to_wait() -> None:
    steering = Steering(0.5, 10_000)
    steering.refused()
    assert steering.size == 250
    seen = sizes(steering, 1e-6, 6)
    assert seen[:5] == [250, 312, 390, 488, 610]
    assert sizes(steering, 1e-6, 2)[1] > 1000  # beyond it nothing is known against it
    for _ in range(40):
        steering.refused()
    assert steering.size == 1
    assert sizes(steering, 1e-6, 2) == [1, 2]


def test_tries_come_ever_later_and_not_in_step() -> None:
    waits = list(itertools.islice(iter(Backoff().__next__, None), 12))
    assert all(0.025 <= wait <= 7.5 for wait in waits)
    assert sum(waits[-3:]) > 5 * sum(waits[:3])
    assert list(itertools.islice(iter(Backoff().__next__, None), 3)) != waits[:3]


@pytest.mark.parametrize("wrong", [{"batch_time": 0.0}, {"batch_time": 2.1}, {"max_batch": 0}])
def test_a_batch_longer_than_a_guard_expects_cannot_be_had(wrong: dict[str, float]) -> None:
    with pytest.raises(BackfillRefused):
        Manner(**wrong)  # type: ignore[arg-type]


def test_the_fingerprint_is_that_of_the_work_and_of_nothing_else() -> None:
    one = Definition("t", set_="a = 1", where="b").fingerprint("public.t", "id")
    assert Definition("public.t", set_=" a = 1\n", where="b ").fingerprint("public.t", "id") == one
    others = {
        Definition("t", set_="a = 2", where="b").fingerprint("public.t", "id"),
        Definition("t", set_="a = 1", where="c").fingerprint("public.t", "id"),
        Definition("t", set_="a = 1", where="b").fingerprint("private.t", "id"),
        Definition("t", set_="a = 1", where="b").fingerprint("public.t", "key"),
    }
    assert len(others | {one}) == 5
