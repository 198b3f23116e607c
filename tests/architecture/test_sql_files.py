"""A DBA reviews guard/sql: each file says first what it is for, and all of them are in the distribution."""

import importlib.resources
from pathlib import Path

import pytest

FILES = sorted(Path(str(importlib.resources.files("guard"))).glob("sql/**/*.sql"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_begins_by_saying_what_it_is_for(path: Path) -> None:
    first = path.read_text().lstrip().partition("\n")[0]
    assert first.startswith("-- ")
    assert len(first) > len("-- query")


def test_there_are_files() -> None:
    assert FILES
