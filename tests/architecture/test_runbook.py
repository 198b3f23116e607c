"""Whoever is called finds what to do: each kind of message that wants somebody, and each alert, has its section."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from guard.model import Severity
from tests.fakes import World
from tests.messages import SCENES
from tests.pages import ROOT, anchors, blocks_of

RUNBOOK = ROOT / "docs" / "runbook.md"
ALERTS = ROOT / "docs" / "prometheus" / "alerts.yml"
_GRAVE = r"(?:Severity\.(?:WARNING|CRITICAL)|severity,)"
_SAID = re.compile(rf'(?:\(|kind=)\s*"(\w+)",\s*(?:severity=)?{_GRAVE}')
"""How the code names the kind of a message that it writes: Draft("paused", Severity.WARNING, ..."""
_CHOSEN = {
    *("cancelled", "cancel_failed", "check_failed", "check_unknown", "rollback_failed", "rollback_unverified"),
    *("cannot_signal", "cannot_see", "guard_died"),
}
"""Those that it chooses by a variable."""


def kebab(name: str) -> str:
    """`rollback-due` of `rollback_due`, `guard-down` of `GuardDown`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", "-", name).lower()


def kinds() -> set[str]:
    """Those that the code can tell as a warning or worse."""
    return _CHOSEN.union(*(_SAID.findall(file.read_text()) for file in (ROOT / "guard").rglob("*.py")))


def test_every_kind_of_message_that_wants_somebody_has_its_section() -> None:
    known = kinds()
    assert len(known) > 20
    assert {kebab(kind) for kind in known} - anchors(RUNBOOK) == set()


@pytest.mark.parametrize("scene", SCENES.values(), ids=lambda scene: scene.__name__)
def test_the_words_of_what_is_grave_lead_to_its_section(scene: Callable[[], World]) -> None:
    rows = re.findall(r"^\| (\*.+\*) \| \[([\w-]+)\]\(#\2\) \|$", RUNBOOK.read_text(), re.MULTILINE)
    phrases = {phrase: kind for words, kind in rows for phrase in re.findall(r"\*([^*]+)\*", words)}
    for notice in scene().journal.notices:
        if notice.severity is not Severity.INFO:
            fits = max((phrase for phrase in phrases if phrase in notice.headline), key=len, default="")
            assert phrases.get(fits) == kebab(notice.kind), notice.headline


def test_every_kind_can_be_found_by_words() -> None:
    found = set(re.findall(r"\| \[([\w-]+)\]\(#\1\) \|$", RUNBOOK.read_text(), re.MULTILINE))
    assert found == {kebab(kind) for kind in kinds()}


def test_every_alert_has_its_section_and_leads_there() -> None:
    if not ALERTS.exists():
        pytest.skip("there are no alert rules")
    rules = ALERTS.read_text()
    names = re.findall(r"^\s*- alert: (\w+)$", rules, re.MULTILINE)
    assert names
    assert {kebab(name) for name in names} - anchors(RUNBOOK) == set()
    assert set(re.findall(r"runbook\.md#([\w-]+)", rules)) <= anchors(RUNBOOK)


def test_every_section_is_of_a_kind_or_an_alert_that_there_is() -> None:
    sections = re.findall(r"^### (\S+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert len(sections) == len(set(sections))
    assert {kebab(kind) for kind in kinds()} - set(sections) == set()
    if ALERTS.exists():
        names = re.findall(r"- alert: (\w+)", ALERTS.read_text())
        assert set(sections) - {kebab(name) for name in (*kinds(), *names)} == set()


def test_the_first_minute_fits_on_a_screen() -> None:
    first = RUNBOOK.read_text().split("## By the words")[0]
    assert len(first.splitlines()) < 45
    assert blocks_of(RUNBOOK)
    assert Path(RUNBOOK).stat().st_size < 30_000
