"""Whom the recognition matches, and which roles are refused because they serve others too."""

import pytest

from guard.check.recognition import served
from guard.check.remarks import Grade
from guard.settings import Recognition

SESSIONS = [("migrator", "migration:a", 2), ("migrator", "web.1", 30), ("migrator", "", 1)]


def test_with_names_the_others_of_the_role_are_warned_of_and_not_matched() -> None:
    remarks = served("database main", Recognition(("migrator",), ("migration:*",)), SESSIONS)
    assert [(each.grade, each.what) for each in remarks] == [
        (Grade.WARNING, "role migrator also serves (no name), web.1"),
        (Grade.FINE, "recognised as a migration's now: 2 x migrator/migration:a"),
    ]


def test_without_names_a_role_that_serves_several_is_refused() -> None:
    remarks = served("database main", Recognition(("migrator",)), SESSIONS)
    assert remarks[0].grade is Grade.PROBLEM
    assert "(no name), migration:a, web.1" in remarks[0].what


def test_a_role_of_migrations_alone_is_fine() -> None:
    remarks = served("database main", Recognition(("migrator",)), SESSIONS[:1])
    assert [each.grade for each in remarks] == [Grade.FINE]


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [("web.1", "web.1", True), ("web.1", "webx1", False), ("*", "", True), ("a*c", "abbc", True), ("a*", "ba", False)],
)
def test_only_the_star_stands_for_anything(pattern: str, name: str, matches: bool) -> None:
    remarks = served("database main", Recognition(("r",), (pattern,)), [("r", name, 1)])
    assert (len(remarks) == 1) is matches
