"""What is written for one migration wins over what is written for a pattern, and that over what holds for all."""

import pytest

from guard.model.patterns import entry_for, key_for

ENTRIES = {"*": 0, "region-*": 1, "region-eu-*": 2, "region-eu-1": 3, "a.c": 4, "*-late": 5}


@pytest.mark.parametrize(
    ("migration", "entry"),
    [
        ("region-eu-1", 3),
        ("region-eu-2", 2),
        ("region-us", 1),
        ("region", 0),
        ("abc", 0),
        ("a.c", 4),
        ("*", 0),
        ("x-late", 5),
        ("region-\n", 1),
    ],
)
def test_the_longest_that_fits_is_taken(migration: str, entry: int) -> None:
    assert entry_for(ENTRIES, migration) == entry


def test_without_one_there_is_none() -> None:
    assert (entry_for({"region-*": 1}, "other"), key_for((), "x")) == (None, None)
