"""What a batch would do, by its plan: refused where it would read a table whole. It changes nothing.

It does not run the batch, so it knows its speed only from what others have measured.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from guard.client.backfill.definition import BackfillRefused, Definition, Manner
from guard.client.backfill.statements import Statements
from guard.client.backfill.steering import FIRST
from guard.client.backfill.table import Connection, fetch, resolve
from guard.sql import get

SMALL = 1 << 20
"""Bytes of a table that may be read whole by a batch: a list of countries is no harm."""
_MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Preview:
    """What is to be expected."""

    table: str
    key: str
    tuples: int | None
    """Rows of the table, as statistics have it."""
    matching: int
    """Rows to be changed, as the planner guesses."""
    batches: int | None
    """At least."""
    plan: tuple[str, ...]
    """Of one batch, in PostgreSQL's words."""


def preview(connection: Connection, definition: Definition, manner: Manner) -> Preview:
    """Look at one batch. Raises BackfillRefused, psycopg.Error."""
    table = resolve(connection, definition)
    statements = Statements(table, definition)
    with _looking(connection):
        batch, values = _typical(connection, statements)
        plan = [] if batch is None else fetch(connection, sql.SQL("explain (costs off) {}").format(batch), values)
        if batch is not None:
            _refuse_whole_reads(connection, batch, values)
        fetch(connection, "select set_config('enable_seqscan', 'on', true)")
        matching = _explained(connection, statements.matching, {})["Plan Rows"]
    batches = None if table.tuples is None else -(-table.tuples // manner.max_batch)
    lines = tuple(line for (line,) in plan)
    return Preview(table.words, table.key, table.tuples, int(matching), batches, lines)


def check(connection: Connection, statements: Statements) -> None:
    """Refuse what would read a table whole, before the first batch. Raises BackfillRefused, psycopg.Error."""
    with _looking(connection):
        batch, values = _typical(connection, statements)
        if batch is not None:
            _refuse_whole_reads(connection, batch, values)


@contextmanager
def _looking(connection: Connection) -> Iterator[None]:
    """A transaction that changes nothing."""
    try:
        with connection.transaction(force_rollback=True):
            fetch(connection, get("backfill_limits"))
            yield
    except psycopg.ProgrammingError as error:
        raise BackfillRefused(f"PostgreSQL refuses it: {said(error)}.") from error


def _typical(connection: Connection, statements: Statements) -> tuple[sql.Composed | None, dict[str, Any]]:
    """A batch from within the table, with its values; None where the table is empty."""
    last = fetch(connection, statements.end)
    if not last:
        return None, {}
    values: dict[str, Any] = {"end": last[0][0], "more": FIRST - 1, "run": 0, "pass": 0}
    first = fetch(connection, statements.next(first=True), values)
    if not first:
        return statements.batch(first=True), {**values, "after": None}
    return statements.batch(first=False), {**values, "after": first[0][0]}


def _explained(connection: Connection, query: sql.Composed, values: dict[str, Any]) -> dict[str, Any]:
    ((found,),) = fetch(connection, sql.SQL("explain (verbose, format json) {}").format(query), values)
    plan: dict[str, Any] = found[0]["Plan"]
    return plan


def _refuse_whole_reads(connection: Connection, batch: sql.Composed, values: dict[str, Any]) -> None:
    for node in _nodes(_explained(connection, batch, values)):
        if node["Node Type"] != "Seq Scan":
            continue
        schema, name = node["Schema"], node["Relation Name"]
        ((size,),) = fetch(connection, get("backfill_size"), [schema, name])
        if size > SMALL:
            raise BackfillRefused(
                f"Each batch would read the whole of {schema}.{name} ({size / _MB:.0f} MB){_by_filter(node)}"
            )


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _by_filter(node: dict[str, Any]) -> str:
    condition = node.get("Filter")
    if condition is None:
        return "."
    table = f"{node['Schema']}.{node['Relation Name']}"
    column = re.search(rf"\b{re.escape(str(node['Alias']))}\.(\w+)", condition)
    helps = f"create index concurrently on {table} ({column[1]});" if column else "an index for that condition."
    return f" for {condition}; this may help: {helps}"


def said(error: psycopg.Error) -> str:
    """What PostgreSQL says of the operator's SQL, without the values of rows."""
    return error.diag.message_primary or type(error).__name__
