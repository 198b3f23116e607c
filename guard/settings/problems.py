"""Every mistake of a file, gathered: where it stands and what is allowed, in words of our own."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from guard.errors import ConfigError, Problem
from guard.settings.lines import Key
from guard.settings.reading import Document
from guard.settings.tables import Table

T = TypeVar("T", bound=Table)

MOST: Final = 100
"""Problems that are told one by one: nobody reads more of them, and each is a line of the log."""
_SECRET: Final = re.compile(r"""(password\s*=\s*|\w://)(?!\.\.\.)('[^']*'|[^\s"]+)""", re.IGNORECASE)
HINTS: Final = {
    "webhook_url": "secrets do not belong in this file; put the URL in a file of its own and name it: webhook_url_file",
    "password": "secrets do not belong in this file; put it in a file of its own and name it: password_file",
    "secret": "secrets do not belong in this file; put it in a file of its own and name it: secret_file",
    "bearer_token": "secrets do not belong in this file; put it in a file of its own and name it: bearer_token_file",
}

_URL: Final = (
    "it may hold a secret, which does not belong in this file; put it in a file of its own and name it: url_file"
)


class Problems:
    """Gathers problems and warnings of one document."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._found: list[Problem] = []
        self._warnings: list[Problem] = []

    def add(self, key: Key, message: str) -> None:
        self._found.append(self._problem(key, message))

    def warn(self, key: Key, message: str) -> None:
        self._warnings.append(self._problem(key, message))

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return tuple(self._warnings)

    def finish(self) -> None:
        """Raise ConfigError, in the order of the lines, if anything was found."""
        found = sorted(dict.fromkeys(self._found), key=lambda problem: problem.line)
        if len(found) > MOST:
            more = f"and {len(found) - MOST} more"
            found = [*found[:MOST], Problem(str(self._document.path), found[MOST].line, "file", more)]
        if found:
            raise ConfigError(found)

    def check(self, model: type[T], table: Any, key: Key) -> tuple[T | None, frozenset[str]]:
        """The table as its model, and which of its keys are broken.

        What is broken is left out and the rest is read all the same, so that one mistake does not hide the next; None
        where too little is left.
        """
        if not isinstance(table, dict):
            self.add(key, f"must be a table: [{'.'.join(map(str, key))}]")
            return None, frozenset()
        try:
            return model.model_validate(table), frozenset()
        except ValidationError as wrong:
            errors = wrong.errors(include_url=False, include_input=False)
        broken: set[str] = set()
        for error in errors:
            loc = tuple(error["loc"])[:1]
            broken.update(str(part) for part in loc)
            self.add(key + loc, _message(error, model))
        rest = {name: value for name, value in table.items() if name not in broken}
        try:
            return model.model_validate(rest), frozenset(broken)
        except ValidationError:
            return None, frozenset(broken)

    def _problem(self, key: Key, message: str) -> Problem:
        return Problem(
            file=str(self._document.path),
            line=self._document.lines.of(key),
            key=self._name(key),
            message=printable(message, most=1000),
        )

    def _name(self, key: Key) -> str:
        """`database.main.dsn`, `rule "lock queue".pause`; a rule or channel without a name by its number, from 1."""
        if len(key) > 1 and key[0] in {"rule", "channel"} and isinstance(key[1], int):
            tables = self._document.tables[str(key[0])]
            given = tables[key[1]].get("name") if isinstance(tables[key[1]], dict) else None
            head = f'{key[0]} "{printable(given)}"' if isinstance(given, str) and given else f"{key[0]} {key[1] + 1}"
            return ".".join([head, *map(printable, key[2:])])
        return ".".join(map(printable, key)) or "file"


def printable(part: object, *, most: int = 80) -> str:
    """On one line and without control characters, since a problem is one line of a terminal.

    Some messages quote what was given, and that may be an address with a password in the wrong place.
    """
    shy = _SECRET.sub(r"\1***", str(part))
    return "".join(c if c.isprintable() else "?" for c in shy)[:most]


def did_you_mean(wrong: str, allowed: Iterable[str]) -> str:
    """`did you mean "pause"? ` and what is allowed; the former only where something is near."""
    names = list(allowed)
    near = difflib.get_close_matches(wrong, names, n=1)
    guess = f'did you mean "{near[0]}"? ' if near else ""
    return f"{guess}allowed: {', '.join(names)}" if names else "there is none"


def keys_of(model: type[Table]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _message(error: ErrorDetails, model: type[Table]) -> str:
    match error["type"]:
        case "extra_forbidden":
            name = str(error["loc"][0])
            hint = _URL if name == "url" and "url_file" in model.model_fields else HINTS.get(name)
            return f"unknown key; {hint or did_you_mean(name, keys_of(model))}"
        case "missing":
            return "is required" + _REQUIRED.get(str(error["loc"][0]), "")
        case "value_error":
            return str(error["ctx"]["error"])
        case "literal_error":
            return f"must be {error['ctx']['expected']}"
        case "dict_type":
            return "must be a table"
        case _:
            return error["msg"]


_REQUIRED: Final = {
    "standbys": ': a list of application_names, a number, or [] which says "none, on purpose"',
    "name": ": a name for people, in quotes",
    "command": ": the program and its arguments, as a list",
    "url": ": where Prometheus answers",
}
