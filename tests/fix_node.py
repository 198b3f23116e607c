"""Fixtures: Node programs that some tests start, installed once for all of them, outside the tree.

Their exact versions are in tests/drizzle/package-lock.json and here. Without node and npm, or without a registry, the
tests are skipped; in CI they fail.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tools import tool

DRIZZLE = Path(__file__).with_name("drizzle")
"""A project with Drizzle Kit: its schema, its migrations, its package.json. Its configuration is in docs/recipes."""
PNPM = "pnpm@12.21.0"
_QUIET = ("--no-audit", "--no-fund", "--no-update-notifier")
_WITHIN = 300.0


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The directory node_modules with drizzle-kit, drizzle-orm and pg, shared by all workers and runs."""
    wanted = [DRIZZLE / "package.json", DRIZZLE / "package-lock.json"]
    key = hashlib.sha256(b"".join(file.read_bytes() for file in wanted)).hexdigest()[:16]
    # No script of a package is run: esbuild works without its own.
    return _installed(f"node-{key}", ("ci", "--ignore-scripts"), wanted)


@pytest.fixture(scope="session")
def pnpm() -> Path:
    """The program pnpm; its package puts it in place by a script."""
    place = _installed(PNPM.replace("@", "-"), ("install", "--ignore-scripts=false", "--no-save", PNPM))
    return place / ".bin" / "pnpm"


@pytest.fixture
def drizzle(node_modules: Path, tmp_path: Path) -> Callable[[], Path]:
    """``drizzle()``: a copy of the project with everything installed; its directory."""

    def make() -> Path:
        place = tmp_path / "project"
        shutil.copytree(DRIZZLE, place)
        (place / "node_modules").symlink_to(node_modules)
        return place

    return make


def _installed(name: str, words: tuple[str, ...], files: list[Path] | None = None) -> Path:
    """The directory node_modules that `npm` *words* has made beside copies of *files*."""
    tool("node")
    npm = tool("npm")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "migration-guard-tests"
    cache.mkdir(parents=True, exist_ok=True)
    place = cache / name
    with _alone(cache / f"{name}.lock"):
        if not (place / "complete").exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            # Not by --prefix: npm would look there for its machine-wide settings, such as who vouches for a registry.
            (place / "package.json").write_text('{"private": true}')
            for file in files or ():
                shutil.copy(file, place)
            _run([npm, *words, *_QUIET], place)
            (place / "complete").touch()
    return place / "node_modules"


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """No other worker installs the same at the same time."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(command: list[str], place: Path) -> None:
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=_WITHIN, check=False)
    if done.returncode:
        words = f"{' '.join(command)} failed ({done.returncode}):\n{done.stderr[-2000:]}"
        if os.environ.get("CI") == "true":
            pytest.fail(words)
        pytest.skip(words)
