"""The alert rules for Prometheus load, fire when they should and only then, and lead to the runbook."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.pages import anchors
from tests.tools import tool

ROOT = Path(__file__).parents[2]
RULES = ROOT / "docs" / "prometheus" / "alerts.yml"
TRIALS = ROOT / "tests" / "alerts_test.yml"


def promtool(*words: str) -> None:
    done = subprocess.run([tool("promtool"), *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_alert_rules() -> None:
    promtool("check", "rules", str(RULES))


def test_each_alert_fires_when_it_should_and_none_when_all_is_well() -> None:
    promtool("test", "rules", str(TRIALS))


def test_each_alert_is_tried_and_has_its_place_in_the_runbook() -> None:
    text = RULES.read_text()
    names, places = re.findall(r"- alert: (\w+)", text), re.findall(r"runbook: docs/runbook\.md#(\S+)", text)
    assert places == [re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower() for name in names]
    assert set(places) - set(anchors(ROOT / "docs" / "runbook.md")) == set()
    tried = set(re.findall(r'alertname(?:="|: )(\w+)', TRIALS.read_text()))
    assert set(names) - tried == set()
