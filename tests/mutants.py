"""./dev mutants: which small change of what judges and decides would no test notice?

    python -m tests.mutants [decide] [judge] [--keep]

mutmut makes the changes, some two thousand, in a copy of the project, and runs the unit tests that reach each. What
survives is printed as a diff, unless tests/mutants.md argues why it may. It takes some ten minutes for each of the two,
and so is no part of CI.

Exit 0 where every survivor is argued, 1 where one is not, 3 where mutmut could not do its work.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[1]
ARGUED = Path(__file__).with_name("mutants.md")
LAYERS = {
    "decide": (
        "accounting", "decide_edges", "decision", "details", "digest", "fences", "machine", "messages", "notice_words",
        "notices",
        "cycle_acts", "cycle_bounds", "cycle_lasting", "cycle_moves", "cycle_news", "cycle_takeover", "cycle_verified",
    ),
    "judge": (
        "abstaining", "baselines", "conditions", "drift", "findings", "judge_verdicts_edges", "judgement", "paths",
        "quantities", "sparkline", "traces", "verdicts",
    ),
}  # fmt: skip
"""The tests of each: those of the layer itself, and steps of a guard with neither clock nor chance.

With the whole suite each mutant would take minutes; so it would with the test of a hundred thousand steps.
"""
_SETTINGS = """

[tool.mutmut]
source_paths = ["guard"]
only_mutate = ["guard/{layer}/*"]
also_copy = ["benchmarks", "docs", "examples", "systemd", "README.md", "CHANGELOG.md", "config.example.toml"]
pytest_add_cli_args = [
  "-p", "no:cacheprovider", "-W", "default", "--timeout=0", "--hypothesis-seed=1", "-k", "not hundred_thousand",
]
pytest_add_cli_args_test_selection = [{tests}]
track_dependencies = false
use_git_change_detection = false
use_setproctitle = false
"""
_LEFT_OUT = (".git", ".venv", ".*_cache", ".hypothesis", ".coverage*", "__pycache__", "*.egg-info", "mutants")
_DEAD = ("killed", "timeout", "caught by type check", "segfault")


@dataclass(frozen=True, slots=True)
class Change:
    """What a mutant changes: the function, and the lines that go and come."""

    function: str
    lines: tuple[str, ...]

    @classmethod
    def read(cls, function: str, diff: str) -> Change:
        """Of a unified diff; what stands around the change, and how it is indented, does not matter."""
        changed = (line for line in diff.splitlines() if line[:1] in {"+", "-"} and line[:3] not in {"+++", "---"})
        return cls(function, tuple(f"{line[0]} {line[1:].strip()}" for line in changed))

    def __str__(self) -> str:
        return "\n".join([f"`{self.function}`", "```diff", *self.lines, "```"])


def argued(text: str) -> frozenset[Change]:
    """The changes in tests/mutants.md: `function` in a line, and a block with the diff below it."""
    blocks = re.findall(r"^`([\w.]+)`\n+```diff\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return frozenset(Change.read(function, diff) for function, diff in blocks)


def function_of(mutant: str) -> str:
    """`guard.decide.bounds.pardoned` of mutmut's `guard.decide.bounds.x_pardoned__mutmut_3`."""
    module, _, name = mutant.rpartition(".")
    name = name.partition("__mutmut_")[0].removeprefix("x_")
    return f"{module}.{name.removeprefix('xǁ').replace('ǁ', '.')}"


def files_of(layer: str) -> list[str]:
    """The files that a mutant of this layer must get past."""
    return [f"tests/unit/test_{name}.py" for name in LAYERS[layer]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; the exit code."""
    parser = argparse.ArgumentParser(prog="./dev mutants", description="Which change would no test notice?")
    parser.add_argument("layers", nargs="*", metavar="LAYER", help=f"of {', '.join(LAYERS)}; default: all")
    parser.add_argument("--keep", action="store_true", help="leave the copies, to look closer with mutmut browse")
    asked = parser.parse_args(arguments)
    layers = asked.layers or list(LAYERS)
    if unknown := set(layers) - set(LAYERS):
        parser.error(f"{', '.join(sorted(unknown))}: only {' and '.join(LAYERS)} are mutated")
    copies = Path(tempfile.mkdtemp(prefix="migration-guard-mutants-"))
    try:
        return max(_run(copies / layer, layer) for layer in layers)
    finally:
        if asked.keep:
            sys.stdout.write(f"the copies: {copies}\n")
        else:
            shutil.rmtree(copies, ignore_errors=True)


def _run(copy: Path, layer: str) -> int:
    shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    with (copy / "pyproject.toml").open("a", encoding="utf-8") as settings:
        settings.write(_SETTINGS.format(layer=layer, tests=", ".join(f'"{path}"' for path in files_of(layer))))
    # Its exit code says nothing of survivors; what it found is asked for below.
    subprocess.run(_mutmut("run"), cwd=copy, check=False)
    told = subprocess.run(_mutmut("results", "--all", "true"), cwd=copy, check=False, capture_output=True, text=True)
    states = dict(re.findall(r"^\s*(guard\.\S+): (.+)$", told.stdout, re.MULTILINE))
    if not states or "not checked" in states.values():
        sys.stdout.write("mutmut did not come to its end\n")
        return 3
    counts = ", ".join(f"{count} {state}" for state, count in Counter(states.values()).most_common())
    sys.stdout.write(f"\n{len(states)} mutants of {layer}: {counts}\n")
    alive = [_change(copy, name) for name, state in states.items() if state not in _DEAD]
    known = argued(ARGUED.read_text(encoding="utf-8"))
    news = [change for change in alive if change not in known]
    gone = [each for each in known - set(alive) if each.function.startswith(f"guard.{layer}.")]
    sys.stdout.write(f"{len(alive) - len(news)} survivors are argued in {ARGUED.relative_to(PROJECT)}\n")
    for title, changes in (("NOT ARGUED", news), ("argued, and no survivor any more", gone)):
        for change in changes:
            sys.stdout.write(f"\n{title}: {change}\n")
    return 1 if news else 0


def _change(copy: Path, mutant: str) -> Change:
    shown = subprocess.run(_mutmut("show", mutant), cwd=copy, check=True, capture_output=True, text=True)
    return Change.read(function_of(mutant), shown.stdout)


def _mutmut(*words: str) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", "mutmut", *words]


if __name__ == "__main__":
    sys.exit(main())
