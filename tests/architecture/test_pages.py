"""What people read can be followed: links lead somewhere, files load, commands and options are there, code compiles."""

from __future__ import annotations

import ast
import configparser
import functools
import itertools
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from guard.cli.app import app
from guard.errors import ConfigError
from guard.judge.quantities import parse_duration
from guard.settings import load
from tests.pages import LANGUAGES, ROOT, anchors, blocks, blocks_of, inline, links, ours, pages, typed

WORDS = {"demo", "test", "check", "bench", "chaos", "mutants"}
"""Of ./dev."""


def test_every_link_between_pages_leads_to_a_file_and_an_anchor_that_are_there() -> None:
    dead = []
    for page in pages():
        for link in links(page):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
                dead.append(f"{page.relative_to(ROOT)}: {link}")
    assert dead == []


def test_every_page_can_be_reached_from_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    seen, to_read = set[Path](), [index]
    while to_read:
        page = to_read.pop()
        if page not in seen and page.suffix == ".md" and page.exists():
            seen.add(page)
            to_read += [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if link[0] != "#"]
    assert {str(page.relative_to(ROOT)) for page in pages() if page not in seen} == set()


def test_every_block_has_a_language_that_a_test_knows() -> None:
    unknown = [f"{block}: {block.language}" for page in pages() for block in blocks_of(page)]
    assert [each for each in unknown if each.rsplit(": ", 1)[1] not in LANGUAGES] == []


def test_every_configuration_loads_without_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [block for block in blocks("toml") if not block.not_run]
    assert len(found) >= 5
    wrong = []
    for block in found:
        monkeypatch.undo()
        for name in re.findall(r"^\[database\.(\w+)\]", completed(block.text), re.MULTILINE):
            monkeypatch.setenv(f"MIGRATION_GUARD_DATABASE_{name.upper()}_DSN", "host=db1 dbname=app user=guard")
        file = tmp_path / "config.toml"
        file.write_text(completed(block.text))
        try:
            wrong += [f"{block}: {warning}" for warning in load(file).warnings]
        except ConfigError as mistakes:
            wrong.append(f"{block}: {mistakes}")
    assert wrong == []


def completed(text: str) -> str:
    """A part of a file, with what it leaves out because another part shows it."""
    needed = {
        r"^\[database": '[database.main]\nstandbys = ["replica1"]\n',
        r"^standbys": "",
        r"^\[prometheus\]": '[prometheus]\nurl = "http://prometheus:9090"\n' if "prometheus" in text else "",
        r"^\[rollback\]": '[rollback]\ncommand = ["/etc/rollback"]\n' if "\nrollback " in text else "",
    }
    # At the end: keys before the first section would belong to the section that comes before them.
    return text + "".join(more for mark, more in needed.items() if not re.search(mark, text, re.MULTILINE))


def test_every_command_line_is_one_that_the_program_takes() -> None:
    found = [(block, words) for block in blocks("sh", "console") for words in ours(typed(block))]
    assert len(found) >= 20
    assert [f"{block}: {flaw}" for block, words in found if (flaw := flaw_of(words))] == []


@functools.cache
def program() -> dict[str, Any]:
    """Its commands by name, as the parser has them."""
    found: dict[str, Any] = getattr(get_command(app), "commands", {})
    return found


def flaw_of(words: list[str]) -> str:
    """Why the program would refuse it; "" where it would not. Nothing is run."""
    known = program()
    if words and words[0] in {"--help", "-h", "--version"}:
        return ""
    if not words or words[0] not in known:
        return f"there is no {' '.join(words)}"
    try:
        for option, value in itertools.pairwise(words):
            if option == "--for":
                parse_duration(value)
        known[words[0]].make_context(words[0], list(words[1:]))
    except typer.Exit:
        return ""
    except Exception as wrong:  # noqa: BLE001 -- whatever the parser raises is the answer
        return f"migration-guard {' '.join(words)}: {wrong}"
    return ""


def test_a_command_that_is_not_there_and_an_option_that_it_does_not_take_are_found() -> None:
    assert flaw_of(["status"]) == "" == flaw_of(["exec", "--name", "a", "--", "make", "-j"])
    assert "there is no" in flaw_of(["statsu"])
    assert "is no duration" in flaw_of(["pause", "a", "--for", "30"])
    assert "--wrong" in flaw_of(["pause", "a", "--wrong"])
    assert list(ours("sudo migration-guard check -c F && rm -rf /opt/migration-guard")) == [["check", "-c", "F"]]


def test_every_command_in_the_text_is_there_with_its_options() -> None:
    known = program()
    wrong, seen = [], 0
    for page in pages():
        for words in inline(page):
            seen += 1
            command = known.get(words[0])
            options = {name for each in command.params for name in each.opts} if command else set()
            before = words[: words.index("--")] if "--" in words else words
            given = {word.split("=")[0] for word in before if word.startswith("--") or word == "-c"}
            if command is None or given - options - {"--help"}:
                wrong.append(f"{page.relative_to(ROOT)}: {' '.join(words)}")
    assert seen > 30
    assert wrong == []


def test_every_script_is_one_that_a_shell_can_read_and_every_word_of_dev_is_there(tmp_path: Path) -> None:
    wrong = []
    for block in blocks("sh", "console"):
        file = tmp_path / "script"
        file.write_text(typed(block))
        read = subprocess.run(["/bin/sh", "-n", str(file)], capture_output=True, text=True, check=False)
        wrong += [f"{block}: {read.stderr}"] if read.returncode else []
        wrong += [f"{block}: {word}" for word in re.findall(r"\./dev (\w+)", typed(block)) if word not in WORDS]
    assert wrong == []
    assert set(re.findall(r"^  (\w+) ", (ROOT / "dev").read_text().split("EOF")[1], re.MULTILINE)) == WORDS


def test_every_python_compiles_and_every_json_and_unit_file_can_be_read() -> None:
    for block in blocks("json"):
        assert json.loads(block.text), str(block)
    for block in blocks("python"):
        ast.parse(block.text, filename=str(block))
    for block in blocks("ini"):
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        parser.read_string(block.text, source=str(block))
        assert parser.sections(), str(block)


def test_a_reason_for_not_running_a_block_is_a_sentence() -> None:
    short = [str(each) for page in pages() for each in blocks_of(page) if each.not_run and len(each.not_run) < 15]
    assert short == []
