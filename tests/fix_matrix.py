"""The fault matrix: which test proves which row of docs/faults.md, and how long the required behaviour took.

``@pytest.mark.fault(17)`` names the rows of a test, the fixture *took* notes times, and the run ends with the table.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter  # pytest names it in its hooks, but exports it from nowhere else

PAPER = Path(__file__).parents[1] / "docs" / "faults.md"
ROW = re.compile(r"^\| (\d+) \| (.+?) \| (.+?) \|$", re.MULTILINE)


def rows() -> dict[int, str]:
    """The rows of the paper: number and fault."""
    return {int(number): fault for number, fault, _ in ROW.findall(PAPER.read_text())}


class Took:
    """Notes how long it took until what is required was so, in seconds."""

    def __init__(self, note: Callable[[str, object], None]) -> None:
        self._note = note

    def __call__(self, seconds: float) -> None:
        """Note a time that the test has measured."""
        self._note("took", max(0.0, seconds))

    @contextmanager
    def within(self, limit: float) -> Iterator[None]:
        """Measure the block, and fail where it took longer than *limit* seconds."""
        began = time.monotonic()
        yield
        seconds = time.monotonic() - began
        self(seconds)
        assert seconds <= limit, f"took {seconds:.2f} s, allowed {limit:g} s"


@pytest.fixture
def took(record_property: Callable[[str, object], None]) -> Took:
    """Notes the times of this test for the matrix."""
    return Took(record_property)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the rows of a test into its report, which reaches the process that prints from every worker."""
    report = yield
    for mark in item.iter_markers("fault"):
        report.user_properties.extend(("fault", row) for row in mark.args)
    return report


@dataclass
class _Proof:
    """What the tests of one row have said."""

    tests: dict[str, str] = field(default_factory=dict)
    slowest: float | None = None

    @property
    def outcome(self) -> str:
        outcomes = set(self.tests.values())
        return next((word for word in ("FAILED", "passed") if word in outcomes), "skipped")


def _proofs(reporter: TerminalReporter) -> dict[int, _Proof]:
    proofs: dict[int, _Proof] = {}
    for outcome, word in (("skipped", "skipped"), ("passed", "passed"), ("failed", "FAILED"), ("error", "FAILED")):
        for report in reporter.stats.get(outcome, []):
            properties = getattr(report, "user_properties", [])
            took = [value for key, value in properties if key == "took"]
            for row in {value for key, value in properties if key == "fault"}:
                proof = proofs.setdefault(row, _Proof())
                proof.tests[report.nodeid] = word
                proof.slowest = max([*took, *([] if proof.slowest is None else [proof.slowest])], default=None)
    return proofs


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print the table: row, fault, test, time to the required behaviour."""
    proofs = _proofs(terminalreporter)
    if not proofs:
        return
    terminalreporter.section("faults: row, fault, time to what is required (the slowest), tests")
    names = rows()
    for number in sorted(proofs):
        proof = proofs[number]
        took = "" if proof.slowest is None else f"{proof.slowest:.2f} s"
        first, *more = sorted(node.rpartition("/")[2].replace(".py::", ": ") for node in proof.tests)
        others = f" (+{len(more)})" if more else ""
        line = f"{number:>3}  {names.get(number, '?')[:66]:<66} {took:>8}  {proof.outcome:<7} {first}{others}"
        terminalreporter.write_line(line, red=proof.outcome == "FAILED")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A row that is not in the paper is a slip."""
    known = rows().keys()
    for item in items:
        for mark in item.iter_markers("fault"):
            if unknown := set(mark.args) - known:
                raise pytest.UsageError(f"{item.nodeid}: docs/faults.md has no row {sorted(unknown)}")
