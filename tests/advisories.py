"""Is there a known vulnerability in what is installed? ``python -m tests.advisories [--require]``; ./dev check asks it.

pip-audit asks a public database and says "No known vulnerabilities found" also where that database knew none of the
packages, as behind a mirror. So each answer is read: what was not looked up is said, and counts for nothing.
Exit 1 with a vulnerability that pyproject.toml does not excuse; 3 with --require where nothing could be asked; else 0.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
SERVICES = ("pypi", "osv")
"""Asked in turn until one answers: the second knows advisories that reach the first later, and is slower."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one service said of everything that is installed."""

    asked: int
    """Packages that it looked up."""
    unknown: tuple[str, ...]
    """Packages that it could not look up."""
    flaws: tuple[tuple[str, tuple[str, ...], str], ...]
    """Package with version, the names of the advisory, and the versions that mend it."""


def read(answer: str) -> Found | None:
    """pip-audit's JSON; None where it is none."""
    try:
        packages: list[dict[str, Any]] = json.loads(answer)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return None
    unknown = tuple(package["name"] for package in packages if "skip_reason" in package)
    flaws = tuple(
        (f"{package['name']} {package['version']}", _names(flaw), ", ".join(flaw.get("fix_versions", [])) or "none yet")
        for package in packages
        for flaw in package.get("vulns", [])
    )
    return Found(len(packages) - len(unknown), unknown, flaws)


def _names(flaw: Mapping[str, Any]) -> tuple[str, ...]:
    return (str(flaw["id"]), *map(str, flaw.get("aliases", [])))


def verdict(found: Found | None, excused: Mapping[str, str], *, require: bool) -> tuple[int, list[str]]:
    """The exit code, and what is said."""
    if found is None or not found.asked:
        told = "no database of advisories could be asked" if found is None else "the database knew no package"
        return (3 if require else 0), [
            f"NOT CHECKED for known vulnerabilities: {told}. This is no sign that all is well."
        ]
    bad = [flaw for flaw in found.flaws if not set(flaw[1]) & excused.keys()]
    said = [f"{name}: {', '.join(flaw)} (mended in: {mends})" for name, flaw, mends in bad]
    known = {name for _, names, _ in found.flaws for name in names}
    said += [f"excused: {flaw}: {reason}" for flaw, reason in excused.items() if flaw in known]
    said += [f"{flaw} need no longer be excused in pyproject.toml" for flaw in excused if flaw not in known]
    if found.unknown:
        said.append(f"not checked, since the database does not know them: {', '.join(found.unknown)}")
    said.append(f"{found.asked} packages checked, {'with' if bad else 'no'} vulnerabilities that nothing excuses")
    return int(bool(bad)), said


def ask(service: str) -> Found | None:
    """Have pip-audit look at the environment that it is installed in."""
    command = [sys.executable, "-m", "pip_audit", "--local", "--skip-editable", "--vulnerability-service", service]
    command += ["--format", "json", "--progress-spinner", "off", "--timeout", "10"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    return read(done.stdout)


def main(arguments: Sequence[str]) -> int:
    """Ask, and say what came of it."""
    excused = tomllib.loads(PYPROJECT.read_text())["tool"]["advisories"]["excused"]
    found = None
    for service in SERVICES:
        found = ask(service) or found
        if found is not None and found.asked:
            break
    code, said = verdict(found, excused, require="--require" in arguments)
    for line in said:
        print(f"advisories: {line}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
