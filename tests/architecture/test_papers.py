"""What is written beside the code says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from guard.decide.machine import diagram
from guard.model.sensors.paper import paper
from guard.settings import paper as settings
from guard.settings.tables import SECTIONS
from guard.show.probing.paper import paper as metrics
from tests.recipes import PAGES, recipe

ROOT = Path(__file__).parents[2]


def test_the_readme_shows_the_phases_as_they_are() -> None:
    shown = re.search(r"```mermaid\n(.*?)\n```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert shown is not None
    assert shown[1] == diagram(), "run: python -m guard.decide.machine, and put what it prints into README.md"


def test_the_paper_of_sensors_is_the_catalogue() -> None:
    told = "run: python -m guard.model.sensors > docs/sensors.md"
    assert (ROOT / "docs" / "sensors.md").read_text() == paper(), told


def test_the_paper_of_settings_is_what_the_file_is_read_by() -> None:
    told = "run: python -m guard.settings > docs/settings.md"
    assert (ROOT / "docs" / "settings.md").read_text() == settings.paper(), told
    shown = {settings.section_of(table) for table in settings.tables()}
    assert shown == set(SECTIONS), "the docstring of a section's table begins with its name: [section]: ..."


def test_the_example_of_a_configuration_has_every_key_and_no_other() -> None:
    example = (ROOT / "config.example.toml").read_text()
    known = {key for table in settings.tables() for key in settings.keys(table)}
    assert {key for key in known if not re.search(rf"\b{key}\b", example)} == set()
    given = set(re.findall(r"^(?:# ?)?([a-z_]+) +=", example, re.MULTILINE))
    assert given - known == {"replica2"} & given, "a standby's name, and keys that nobody reads"


def test_the_paper_of_metrics_is_the_catalogue() -> None:
    told = "run: python -m guard.show.probing > docs/metrics.md"
    assert (ROOT / "docs" / "metrics.md").read_text() == metrics(), told


def test_every_recipe_is_in_the_index_and_is_run_by_a_test() -> None:
    names = {page.stem for page in PAGES.glob("*.md")} - {"README"}
    index = (PAGES / "README.md").read_text()
    tests = "".join(file.read_text() for file in (ROOT / "tests" / "acceptance").glob("test_*.py"))
    assert {name for name in names if f"({name}.md" not in index} == set()
    assert {name for name in names if f'recipe("{name}")' not in tests} == set()
    assert all(recipe(name).files for name in names)
