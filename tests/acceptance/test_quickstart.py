"""docs/quickstart.md as a newcomer follows it: each command is typed in its order, and says what the page shows."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from guard.demo.embedded import Binaries
from tests.pages import ROOT, Block, blocks_of
from tests.tools import tool
from tests.waiting import wait_for

pytestmark = pytest.mark.acceptance

PAGE = ROOT / "docs" / "quickstart.md"
ROWS = "100000"
"""In place of the page's 300,000, which takes seconds more to make; enough for the backfill to outlast the test."""
WITHIN = 25.0
_FIGURES = re.compile(r"/\S+/playground\b|\b[\w.-]*\d[\w.:-]*( (ms|s|min|h|B|kB|MB|GB|%)\b)?")
_STAYS = ("migration-guard serve", "python backfill.py")
"""What keeps its terminal."""


def shape(text: str) -> list[str]:
    """The first words of its lines, without what differs from run to run: figures, times, names with figures."""
    bare = (" ".join(_FIGURES.sub("#", line).split()[:4]) for line in text.splitlines())
    return [line for line in bare if line.strip("# ")]


@dataclass
class Terminals:
    """The three of the page."""

    directory: Path
    first: subprocess.Popen[str]
    variables: dict[str, str]
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def type(self, command: str, shown: str) -> None:
        """Type it, and wait until it says what the page shows. What ends is typed again until it does, or too late."""
        output = self._start(command) if command.startswith(_STAYS) else None
        last = ""

        def fits() -> bool:
            nonlocal last
            last = output.read_text() if output else self._said(command)
            return set(shape(shown)) <= set(shape(last))

        def what_is_missing() -> str:
            return f"`{command}` to say\n{set(shape(shown)) - set(shape(last))}\nIt said\n{last}"

        wait_for(fits, within=WITHIN, every=0.3, message=what_is_missing)

    def _start(self, command: str) -> Path:
        output = self.directory.parent / f"{len(self.running)}.log"
        with output.open("wb") as log:
            self.running.append(
                subprocess.Popen(
                    shlex.split(command), cwd=self.directory, env=self.variables, stdout=log, stderr=subprocess.STDOUT
                )
            )
        return output

    def _said(self, command: str) -> str:
        shell = [tool("sh"), "-c", command]
        done = subprocess.run(
            shell, cwd=self.directory, env=self.variables, capture_output=True, text=True, timeout=WITHIN, check=False
        )
        return done.stdout + done.stderr

    def ask_first(self, word: str) -> None:
        """Type a word into the playground, and hear that it was done."""
        assert self.first.stdin is not None
        assert self.first.stdout is not None
        self.first.stdin.write(f"{word}\n")
        self.first.stdin.flush()
        assert "replica1" in self.first.stdout.readline()


@contextmanager
def terminals(directory: Path, binaries: Binaries) -> Iterator[Terminals]:
    """The playground in the first; the other two are where it says."""
    command = [sys.executable, str(ROOT / "examples" / "playground.py"), str(directory), "--rows", ROWS]
    environment = {**os.environ, "MIGRATION_GUARD_PG_BIN": str(binaries.bin_dir)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as playground:
        opened = None
        try:
            assert playground.stdout is not None
            assert str(directory) in playground.stdout.readline()
            playground.stdout.readline()
            read = [tool("sh"), "-c", ". ./env && env -0"]
            said = subprocess.run(read, cwd=directory, capture_output=True, text=True, check=True)
            variables = dict(line.split("=", 1) for line in said.stdout.split("\0") if line)
            opened = Terminals(directory, playground, variables)
            yield opened
        finally:
            for process in opened.running if opened is not None else ():
                process.terminate()
                process.wait(20)
            playground.send_signal(signal.SIGINT)
            playground.communicate(timeout=30)


def steps(block: Block) -> Iterator[tuple[str, str]]:
    """The commands of a console, each with what is shown below it."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


def test_the_quick_start_goes_as_it_is_written_and_leaves_nothing(binaries: Binaries, tmp_path: Path) -> None:
    directory = tmp_path / "playground"
    seen: set[str] = set()
    with terminals(directory, binaries) as desk:
        for block in blocks_of(PAGE):
            if block.file:
                (directory / block.file).write_text(block.text)
            elif block.language == "text":
                desk.ask_first(block.text.strip())
            elif block.language == "console" and not block.not_run:
                for command, shown in steps(block):
                    desk.type(command, shown)
                    seen.add(command)
    assert {"migration-guard check -c guard.toml", "migration-guard report backfill-email"} <= seen
    assert not directory.exists()
