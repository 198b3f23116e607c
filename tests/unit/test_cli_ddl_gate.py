"""Whom the gate is to hold, by the options of install."""

from pathlib import Path

import pytest
import typer

from guard.act.ddl_gate import DdlGate
from guard.cli.ddl_gate import WhenLost, gate_of


def test_the_options_win_over_the_file_which_is_not_read_then() -> None:
    none = Path("/nowhere.toml")
    assert gate_of(none, ["a", "b"], None, None, wanted=True) == DdlGate(("a", "b"), (), "closed")
    assert gate_of(none, ["a"], ["m:*"], WhenLost.OPEN, wanted=True) == DdlGate(("a",), ("m:*",), "open")
    assert gate_of(none, None, None, None, wanted=False) is None


def test_without_options_it_is_whom_the_file_recognises(tmp_path: Path) -> None:
    file = tmp_path / "guard.toml"
    file.write_text('[database.main]\ndsn = "host=db1 dbname=app user=g"\nstandbys = []\n')
    with pytest.raises(typer.BadParameter, match="say whose DDL"):
        gate_of(file, None, None, None, wanted=True)
    file.write_text(file.read_text() + '[migrations]\nroles = ["migrator"]\napplication_names = ["migration:*"]\n')
    gate = DdlGate(("migrator",), ("migration:*",), "closed")
    assert gate_of(file, None, None, WhenLost.CLOSED, wanted=True) == gate


@pytest.mark.parametrize(
    ("roles", "names", "lost", "wanted", "words"),
    [
        (["a"], None, None, False, "go with --ddl-gate"),
        (None, ["x"], None, False, "go with --ddl-gate"),
        (None, None, WhenLost.OPEN, False, "go with --ddl-gate"),
        (None, ["x"], None, True, "needs --role"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    roles: list[str] | None, names: list[str] | None, lost: WhenLost | None, wanted: bool, words: str
) -> None:
    with pytest.raises(typer.BadParameter, match=words):
        gate_of(None, roles, names, lost, wanted=wanted)
