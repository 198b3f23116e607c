"""What `check` says of a standby that is not seen to stream."""

from __future__ import annotations

import pytest

from guard.check.standbys import _missing


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
