"""The alert rules for Prometheus load, fire when they should and only then, and lead to the runbook."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from guard.show.probing.collect import Snapshot, render
from guard.show.sight import Channel
from tests.pages import anchors, blocks_of
from tests.sights import NOW, a_seen, paused
from tests.tools import tool

ROOT = Path(__file__).parents[2]
RULES = ROOT / "docs" / "prometheus" / "alerts.yml"
TRIALS = ROOT / "tests" / "alerts_test.yml"


def promtool(*words: str, given: str = "") -> None:
    done = subprocess.run(
        [tool("promtool"), *words], input=given, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_promtool_takes_the_alert_rules() -> None:
    promtool("check", "rules", str(RULES))


def test_prometheus_takes_the_scrape_configuration_that_the_page_shows(tmp_path: Path) -> None:
    (shown,) = blocks_of(ROOT / "docs" / "metrics.md")
    (tmp_path / "prometheus.yml").write_text(shown.text)
    promtool("check", "config", "--syntax-only", str(tmp_path / "prometheus.yml"))
    assert 'job="migration-guard"' in RULES.read_text()
    assert "job_name: migration-guard" in shown.text


def test_promtool_has_nothing_to_say_about_the_metrics() -> None:
    told, _ = render(Snapshot([a_seen(paused())], [Channel("slack", 3, 1, 12.0, "429")], NOW), "")
    promtool("check", "metrics", given=told.decode())


def test_each_panel_of_the_dashboard_says_what_it_shows_and_asks_the_chosen_prometheus() -> None:
    panels = json.loads((ROOT / "docs" / "grafana" / "migration-guard.json").read_text())["panels"]
    assert sorted(panel["id"] for panel in panels) == list(range(1, len(panels) + 1))
    assert [panel["title"] for panel in panels if not panel["description"]] == []
    sources = {target["datasource"]["uid"] for panel in panels for target in panel["targets"]}
    assert sources == {"${datasource}"}
    cells = [
        (x, y)
        for at in (panel["gridPos"] for panel in panels)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells)), "panels lie on each other"
    assert max(x for x, _ in cells) < 24


def test_each_alert_fires_when_it_should_and_none_when_all_is_well() -> None:
    promtool("test", "rules", str(TRIALS))


def test_each_alert_is_tried_and_has_its_place_in_the_runbook() -> None:
    text = RULES.read_text()
    names, places = re.findall(r"- alert: (\w+)", text), re.findall(r"runbook: docs/runbook\.md#(\S+)", text)
    assert places == [re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower() for name in names]
    assert set(places) - set(anchors(ROOT / "docs" / "runbook.md")) == set()
    tried = set(re.findall(r'alertname(?:="|: )(\w+)', TRIALS.read_text()))
    assert set(names) - tried == set()
