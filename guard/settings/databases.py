"""[database.NAME]: one section; where its secrets are to be had, and what its keys mean together."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guard.settings.environment import of_database, variable_of
from guard.settings.problems import Problems
from guard.settings.secret import Secret
from guard.settings.standbys import read_standby_dsns
from guard.settings.tables import DatabaseTable
from guard.settings.values import DatabaseSettings


@dataclass(frozen=True, slots=True)
class DatabaseReader:
    """Reads them; *at* is where the file's relative paths begin."""

    problems: Problems
    at: Callable[[Path], Path]

    def read(self, name: str, given: Any) -> DatabaseSettings | None:
        """The section of this name; None where it comes to nothing. Mistakes are noted."""
        key = ("database", name)
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,62}", name):
            self.problems.add(key, "a database is named by a letter, then at most 62 letters, digits, _ and -")
            return None
        table, broken = self.problems.check(DatabaseTable, given, key)
        if table is None:
            return None
        if table.dsn is not None and table.dsn_file is not None:
            self.problems.add((*key, "dsn_file"), "needs exactly one of dsn and dsn_file")
        written = Secret(f"[database.{name}] dsn", value=table.dsn) if table.dsn else self._file(table.dsn_file)
        dsn = of_database(name, "DSN") or written
        if dsn is None:
            if not broken & {"dsn", "dsn_file"}:
                self.problems.add(key, f"needs dsn, dsn_file or the variable {variable_of(name, 'DSN')}")
            return None
        return DatabaseSettings(
            name=name,
            dsn=dsn,
            standbys=table.standbys,
            password=of_database(name, "PASSWORD") or self._file(table.password_file),
            batch_limit=table.batch_limit,
            standby_dsns=read_standby_dsns(table.standby_dsns, (*key, "standby_dsns"), self.problems),
        )

    def _file(self, path: Path | None) -> Secret | None:
        return None if path is None else Secret(str(self.at(path)), path=self.at(path))
