"""[verify], and the phases of [migration.NAME]: queries about the data. Whether they can be asked `check` tells."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from guard.model import Check
from guard.settings.kinds import is_name
from guard.settings.lines import Key
from guard.settings.problems import Problems, did_you_mean
from guard.settings.tables import CheckTable, GateTable
from guard.settings.values import CheckSettings

_EXAMPLE = 'no_rows = "select id from public.orders where region is null"'


class CheckReader:
    """Reads tables of checks; *databases* are those of the file."""

    def __init__(self, problems: Problems, databases: Collection[str]) -> None:
        self._problems = problems
        self._databases = databases

    def read(self, given: Any, key: Key, *, has_hook: bool) -> tuple[CheckSettings, ...]:
        """[verify.NAME] tables, under *key*; *has_hook*: something can be rolled back."""
        found = []
        for name, table in self._named(given, key).items():
            read, broken = self._problems.check(CheckTable, table, (*key, name))
            if read is None:
                continue
            given_kinds = [kind for kind in ("no_rows", "same") if getattr(read, kind) is not None]
            if len(given_kinds) != 1 and not broken & {"no_rows", "same"}:
                self._problems.add((*key, name), f"needs exactly one of no_rows and same, such as {_EXAMPLE}")
            if read.on_failure == "rollback" and not has_hook:
                self._problems.add((*key, name, "on_failure"), "there is no [rollback] that could be run")
            self._look_at(read.databases, (*key, name))
            query, rollback = read.no_rows or read.same or "", read.on_failure == "rollback"
            check = Check(name, query, same=read.no_rows is None, rollback=rollback)
            found.append(CheckSettings(check, read.databases))
        return tuple(found)

    def phases(self, given: Any, key: Key) -> dict[str, tuple[CheckSettings, ...]]:
        """[migration.NAME.phase.PHASE.CHECK] tables, under *key*."""
        return {phase: self._gates(tables, (*key, phase)) for phase, tables in self._named(given, key).items()}

    def _gates(self, given: Any, key: Key) -> tuple[CheckSettings, ...]:
        found = []
        for name, table in self._named(given, key).items():
            read, _ = self._problems.check(GateTable, table, (*key, name))
            if read is not None:
                self._look_at(read.databases, (*key, name))
                found.append(CheckSettings(Check(name, read.no_rows), read.databases))
        if given == {}:
            self._problems.add(key, f"has no check, so it would always hold; give one, with {_EXAMPLE}")
        return tuple(found)

    def _named(self, given: Any, key: Key) -> dict[str, Any]:
        if given is None:
            return {}
        if not isinstance(given, dict):
            self._problems.add(key, f"must be tables such as [{'.'.join(map(str, key))}.NAME]")
            return {}
        for name in given:
            if not is_name(name):
                self._problems.add((*key, name), "needs a name for people, without control characters")
        return {name: table for name, table in given.items() if is_name(name)}

    def _look_at(self, databases: tuple[str, ...], key: Key) -> None:
        for name in databases:
            if name not in self._databases:
                self._problems.add((*key, "databases"), f'there is no "{name}"; {did_you_mean(name, self._databases)}')
