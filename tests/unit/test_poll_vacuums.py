"""Which vacuum is on a table of the migration: once seen there, until it ends, and no other."""

import pytest

from guard.poll.vacuums import Vacuums


def row(**changes: object) -> dict[str, object]:
    usual: dict[str, object] = {
        "pid": 7,
        "relation": 16400,
        "name": "public.orders",
        "automatic": True,
        "usename": None,
        "application_name": "",
        "wraparound": False,
        "began": 1000.0,
        "lasting": 30.0,
        "touched": True,
    }
    return {**usual, **changes}


def test_a_table_that_no_migration_touches_does_not_count() -> None:
    assert Vacuums().look([]) == (0.0, "")
    assert Vacuums().look([row(touched=False)]) == (0.0, "")


def test_a_vacuum_that_was_seen_on_the_migrations_table_counts_while_the_migration_holds_still() -> None:
    vacuums = Vacuums()
    assert vacuums.look([row(touched=False, lasting=1.0)])[0] == 0.0
    assert vacuums.look([row(lasting=2.0)])[0] == 2.0
    assert vacuums.look([row(touched=False, lasting=3.0)])[0] == 3.0
    assert vacuums.look([]) == (0.0, "")
    # The next vacuum of the same table by the same worker is another one.
    assert vacuums.look([row(touched=False, began=1004.0, lasting=1.0)])[0] == 0.0


def test_of_several_the_longest_is_told_and_a_clock_that_was_set_back_begins_anew() -> None:
    both = [row(lasting=2.0), row(pid=8, relation=16500, name="public.items", lasting=40.0)]
    assert Vacuums().look(both)[0] == 40.0
    assert Vacuums().look([row(lasting=-5.0)])[0] == 0.0
    assert Vacuums().look([row(lasting=None, began=None)])[0] == 0.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "autovacuum of public.orders, pid 7, which yields to who waits"),
        (
            {"wraparound": True},
            "autovacuum of public.orders, pid 7, to prevent wraparound, which must be left to finish",
        ),
        ({"automatic": False, "usename": "anna"}, "VACUUM of public.orders by pid 7 (anna, no application_name)"),
    ],
)
def test_it_is_named(changes: dict[str, object], words: str) -> None:
    assert Vacuums().look([row(**changes)]) == (30.0, words)
