"""The pages of docs/recipes as what they tell people to write: the one truth is the page.

A fence whose info string has a second word is a file of that name, in whatever language: "```sql users.sql",
"```python migrations/env.py", "```sh migrate.sh". A test writes the files of a page into a directory and runs them
there as they stand; a fence without a name is only for reading. What a page assumes (a role, a table, a server) is the
test's to make; programs find the server by libpq's own variables (`surroundings`).
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from psycopg.conninfo import conninfo_to_dict

PAGES: Final = Path(__file__).parents[1] / "docs" / "recipes"
_FENCE: Final = re.compile(r"^```(?P<language>\w+) +(?P<file>[\w./-]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_VARIABLES: Final = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """One page."""

    name: str
    """Of the page, without its ending."""
    files: Mapping[str, str]
    """Text by path, as the page gives it."""

    def write(self, directory: Path) -> None:
        """Put all its files into *directory*."""
        for path, text in self.files.items():
            file = directory / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)


def recipe(name: str) -> Recipe:
    """The page docs/recipes/NAME.md. Raises ValueError where a file is there twice, or none is."""
    found = _FENCE.findall((PAGES / f"{name}.md").read_text())
    files = {file: text for _, file, text in found}
    if not files or len(files) < len(found):
        raise ValueError(f"{name}.md: each file once, and one at least; found {[file for _, file, _ in found]}")
    return Recipe(name, files)


def surroundings(dsn: str, programs: Path | None = None) -> dict[str, str]:
    """Variables by which the programs of a recipe find the server, and PATH with this Python's programs.

    *programs* is one more directory of them, of the server's (psql).
    """
    given = conninfo_to_dict(dsn)
    path = [sysconfig.get_path("scripts"), str(Path(sys.executable).parent), *([str(programs)] if programs else [])]
    return {
        "PATH": os.pathsep.join([*path, os.environ.get("PATH", os.defpath)]),
        **{variable: str(given[key]) for key, variable in _VARIABLES.items() if key in given},
    }
