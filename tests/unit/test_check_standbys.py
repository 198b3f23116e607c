"""What `check` says of a standby that is not seen to stream."""

from __future__ import annotations

import pytest

from guard.check.standbys import _missing, _room, _seen
from guard.settings import DatabaseSettings, Secret


@pytest.mark.parametrize(
    ("seen", "what", "todo"),
    [
        ({"replica1": "catchup"}, "not streaming (it is in state catchup)", "start it"),
        ({"replica1": None}, "hidden from the guard's role", "grant pg_monitor"),
        ({"replica2": "streaming"}, "not connected (connected: replica2)", "correct standbys"),
        ({}, "not connected (connected: none)", "name it in standby_dsns"),
    ],
)
def test_a_state_that_is_hidden_is_not_called_a_standby_that_does_not_stream(
    seen: dict[str, str | None], what: str, todo: str
) -> None:
    remark = _missing("database main", "replica1", seen)
    assert what in remark.what
    assert todo in remark.todo


@pytest.mark.parametrize(
    ("asked", "grade"),
    [({"replica2": True}, "fine"), ({"replica2": False}, "problem"), ({"replica1": True}, "problem"), ({}, "problem")],
)
def test_a_standby_that_answers_for_itself_counts_where_a_number_is_expected(
    asked: dict[str, bool], grade: str
) -> None:
    database = DatabaseSettings("main", Secret("dsn", value="host=db1"), 2)
    (remark,) = _seen("database main", database, {"replica1": "streaming"}, asked)
    assert remark.grade == grade


def test_a_standby_that_has_no_connection_to_spare_is_warned_of() -> None:
    assert _room("database main", "replica2", 1) == []
    (remark,) = _room("database main", "replica2", 0)
    assert remark.what == "the guard keeps one connection to standby replica2, and none there is free for it"
