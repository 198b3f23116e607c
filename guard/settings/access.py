"""How a source is asked by HTTP: the keys that [prometheus] and rules with `http` share, and how they go together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from guard.settings.lines import Key
from guard.settings.problems import Problems
from guard.settings.secret import Secret
from guard.settings.tables import AccessTable
from guard.settings.values import AccessSettings

KEYS = tuple(AccessTable.model_fields)


@dataclass(frozen=True, slots=True)
class AccessReader:
    """Reads the keys of one table; *at* is where the file's relative paths begin."""

    problems: Problems
    key: Key
    at: Callable[[Path], Path]
    broken: frozenset[str] = frozenset()

    def read(
        self, table: AccessTable, *, password: Secret | None = None, bearer: Secret | None = None
    ) -> AccessSettings:
        """What holds where *password* and *bearer* come from the environment, which wins; mistakes are noted."""
        password, bearer = (
            password or self._secret(table.password_file),
            bearer or self._secret(table.bearer_token_file),
        )
        self._check(table, password, bearer)
        ca_file = None if table.ca_file is None else self.at(table.ca_file)
        return AccessSettings(table.username, password, bearer, ca_file, table.headers)

    def _secret(self, path: Path | None) -> Secret | None:
        return None if path is None else Secret(str(self.at(path)), path=self.at(path))

    def _check(self, table: AccessTable, password: Secret | None, bearer: Secret | None) -> None:
        if self.broken & set(KEYS):
            return
        if table.username is not None and password is None:
            self.problems.add((*self.key, "username"), "needs a password as well: password_file")
        if table.username is None and table.password_file is not None:
            self.problems.add((*self.key, "password_file"), "needs username as well")
        if table.username is not None and bearer is not None:
            self.problems.add((*self.key, "username"), "does not go with a bearer token: one of them is sent")
        known = table.username is not None or bearer is not None
        if known and any(name.lower() == "authorization" for name in table.headers):
            self.problems.add((*self.key, "headers"), "must hold no Authorization beside a username or a bearer token")
