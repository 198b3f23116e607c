"""Asks the administrator's own checks of the data: read-only, bounded in time and in rows. Nothing is judged here.

Each query stands as a subquery, so it can be nothing but one that returns rows, and is sent as one statement, which
cannot hold a second; its transaction is READ ONLY and its own, so that no snapshot is held from one check to the next.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final

from guard.errors import GuardError, ServerError
from guard.model.checks import SHOWN, Answer, Check
from guard.postgres import Connection, Door, Hosts

_LONGEST: Final = 200
"""Characters of a value or of an offending row that are kept."""
_LEAST: Final = 0.2
"""Seconds below which a question is not begun any more."""


class Checks:
    """Asks on a connection of its own, opened when it is needed; implements guard.ports.Checker."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo

    async def ask(self, checks: Sequence[Check], *, within: float) -> tuple[Answer, ...]:
        """Answers in the order of the checks, all of them within so many seconds. Never raises for what they do."""
        end = time.monotonic() + within
        try:
            hosts = Hosts(self._conninfo)
        except GuardError as error:
            return tuple(Answer(check.name, why=str(error)) for check in checks)
        # Below the deadline of the call, so that it is the server that gives up, and says why.
        limit = max(1, int(within * 1000) - 500)
        door = hosts.door("verify", deadline=within, statement_timeout_ms=limit, lock_timeout_ms=min(limit, 2000))
        door.on_connect = _read_only
        try:
            return tuple([await _answer(door, check, end, within) for check in checks])
        finally:
            await door.close()
            await hosts.close()


async def _answer(door: Door, check: Check, end: float, within: float) -> Answer:
    left = end - time.monotonic()
    if left < _LEAST:
        return Answer(check.name, why=f"not asked: the checks before it have taken all of the {within:g} s")
    most = 2 if check.same else SHOWN + 1
    # The administrator's own words; on lines to themselves, since they may end with a comment. As JSON a row says which
    # value is which, and is equal to another whatever its columns are.
    text = check.query.strip().rstrip(";")
    query = f"select to_json(of_this_check)::text from (\n{text}\n) as of_this_check limit {most}".encode()  # noqa: S608

    async def ask(connection: Connection) -> list[tuple[Any, ...]]:
        async with connection.cursor() as cursor:
            # In binary, because only then the driver sends it as a statement that can hold no second one.
            await cursor.execute(query, binary=True)
            return await cursor.fetchall()

    try:
        rows = [_row(text) for (text,) in await door.transact(ask, deadline=left)]
    except ServerError as error:
        return Answer(check.name, why=str(error).removeprefix("verify: "))
    if not check.same:
        return Answer(check.name, offending=tuple(_said(row) for row in rows[:SHOWN]), more=len(rows) > SHOWN)
    if len(rows) != 1:
        return Answer(check.name, why=f"the query returned {'no row' if not rows else 'more than one row'}, not one")
    return Answer(check.name, value=_said(rows[0], whole=True))


async def _read_only(connection: Connection) -> None:
    await connection.set_read_only(True)


def _said(row: dict[str, Any], *, whole: bool = False) -> str:
    """`id=7, region=null`. Where *whole*, two rows are said alike only if they are alike."""
    text = ", ".join(f"{name}={_value(value)}" for name, value in row.items()) or "a row without columns"
    if len(text) <= _LONGEST:
        return text
    told = f" (sha256 {sha256(text.encode()).hexdigest()[:24]})" if whole else ""
    return f"{text[: _LONGEST - len(told)]}...{told}"


def _row(text: str) -> dict[str, Any]:
    return dict(json.loads(text, parse_float=Decimal, parse_int=Decimal, object_pairs_hook=_apart))


def _apart(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Columns of the same name side by side, as of `select sum(a), sum(b)`: `sum`, `sum (2)`."""
    found: dict[str, Any] = {}
    for index, (name, value) in enumerate(pairs):
        before = sum(other == name for other, _ in pairs[:index])
        found[f"{name} ({before + 1})" if before else name] = value
    return found


def _value(value: Any) -> str:
    if isinstance(value, Decimal):
        # 1.50 and 1.5 are the same sum, in whatever scale a numeric column keeps them.
        return f"{value.normalize():f}" if value.is_finite() else str(value)
    if isinstance(value, str):
        return value if value.isprintable() and "," not in value and value not in {"", "null"} else json.dumps(value)
    return json.dumps(value, default=_value, sort_keys=True, ensure_ascii=False)
