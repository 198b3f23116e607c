"""`check` says of the DDL gate whom it holds, and whether that is what the file says."""

import json
from typing import Any

import pytest

from guard.act.ddl_gate import VERSION, DdlGate, read_note
from guard.check.ddl_gate import Found, judged
from guard.check.remarks import Grade
from guard.settings import Recognition

FILE = Recognition(("migrator",), ("migration:*",))
NOTE = {"roles": ["migrator"], "application_names": ["migration:*"], "when_lost": "closed", "version": VERSION}


def found(enabled: str = "O", heeded: str = "on", **note: Any) -> Found:
    return Found(enabled, heeded, json.dumps({**NOTE, **note}))


def test_a_gate_that_holds_whom_the_file_names_is_fine() -> None:
    remark = judged("database main", FILE, found())
    assert remark.grade is Grade.FINE
    assert remark.what == "DDL gate: it holds migrator named migration:*, and is closed while no guard can say anything"
    assert judged("database main", FILE, found("A", when_lost="open")).grade is Grade.FINE
    assert judged("database main", Recognition(("migrator",)), found(application_names=["tool:*"])).grade is Grade.FINE
    two = Recognition(("a", "b"))
    assert judged("database main", two, found(roles=["b", "a"], application_names=[])).grade is Grade.FINE


@pytest.mark.parametrize(
    ("gate", "words", "todo"),
    [
        (found("D"), "is disabled, and holds nobody", "alter event trigger migration_guard_ddl_gate enable"),
        (found("R"), "is disabled, and holds nobody", "alter event trigger migration_guard_ddl_gate enable"),
        (found(heeded="off"), "event_triggers is off", "set it to on"),
        (
            found(roles=["other"]),
            "holds other named migration:*, and [migrations] names migrator named",
            "--ddl-gate -c",
        ),
        (found(application_names=[]), "holds migrator, and [migrations] names migrator named migration:*", "-c FILE"),
        (found(version=VERSION - 1), "of an earlier version than this program", "install --ddl-gate"),
        (found(version=VERSION + 1), "of a newer version than this program", "install --ddl-gate"),
        (Found("O", "on", None), "not one that this program has made", "install --ddl-gate"),
    ],
    ids=["disabled", "replica", "unheeded", "roles", "names", "older", "newer", "foreign"],
)
def test_what_is_wrong_with_a_gate_is_named_with_what_to_do(gate: Found, words: str, todo: str) -> None:
    remark = judged("database main", FILE, gate)
    assert remark.grade is Grade.WARNING
    assert words in remark.what
    assert todo in remark.todo


@pytest.mark.parametrize("text", [None, "", "[]", "7", "{}", "x", json.dumps({**NOTE, "when_lost": "ajar"})])
def test_a_note_that_is_none_of_ours_is_none(text: str | None) -> None:
    assert read_note(text) is None
    assert read_note(json.dumps(NOTE)) == (DdlGate(("migrator",), ("migration:*",), "closed"), VERSION)
