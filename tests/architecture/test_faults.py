"""Each row of docs/faults.md is proven by a test that carries its number, and the rows are counted through."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.fix_matrix import rows

TESTS = Path(__file__).parents[1]
NOT_YET: set[int] = set()
"""Faults of things that do not exist yet; the paper says of each what it will come with."""


def marked(tree: ast.Module) -> Iterator[int]:
    """The numbers in calls of `pytest.mark.fault`, as decorators or elsewhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "fault":
            yield from (arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, int))


def test_each_fault_of_the_paper_has_a_test() -> None:
    proven = {row for file in TESTS.rglob("test_*.py") for row in marked(ast.parse(file.read_text()))}
    assert sorted(rows().keys() - proven - NOT_YET) == []
    assert sorted(proven & NOT_YET) == []


def test_the_faults_of_the_paper_are_numbered_in_order() -> None:
    assert list(rows()) == list(range(1, len(rows()) + 1))
