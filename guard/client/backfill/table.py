"""The table of a backfill and the key by which it is cut into ranges. It reads the catalogue only."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from guard.client.backfill.definition import BackfillRefused, Definition
from guard.sql import get

Connection = psycopg.Connection[Any]

TYPES: Final[dict[str, LiteralString]] = {
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "uuid": "uuid",
    "text": "text",
    "varchar": "character varying",
    "date": "date",
    "timestamp": "timestamp",
    "timestamptz": "timestamp with time zone",
}
"""Keys whose text says the same value when it is read back, and how each is written in a cast."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table, and its key."""

    schema: str
    name: str
    key: str
    type: LiteralString
    tuples: int | None
    """About how many rows it has; None where nobody has counted."""
    may_keep: bool
    """Whether a trigger or a policy may leave rows as they are that an UPDATE would change."""

    @property
    def words(self) -> str:
        """As people write it."""
        return f"{self.schema}.{self.name}"

    @property
    def identifier(self) -> sql.Composable:
        return sql.Identifier(self.schema, self.name)


def fetch(
    connection: Connection, query: LiteralString | sql.SQL | sql.Composed, params: Any = None
) -> list[tuple[Any, ...]]:
    """Rows as tuples, whatever kind the caller's connection makes; unprepared, since a pooler may be between."""
    cursor = psycopg.Cursor(connection, row_factory=tuple_row)
    return cursor.execute(query, params, prepare=False).fetchall()


def fetch_at_once(connection: Connection, *queries: tuple[LiteralString | sql.Composed, Any]) -> list[tuple[Any, ...]]:
    """Rows of the last of several queries, in a transaction that is sent to its end before the first answer comes.

    So it takes one round trip, and a process that stands still never holds a lock in it.
    """
    cursor = psycopg.Cursor(connection, row_factory=tuple_row)
    with connection.pipeline() if psycopg.Pipeline.is_supported() else nullcontext(), connection.transaction():
        for query, params in queries:
            cursor = psycopg.Cursor(connection, row_factory=tuple_row)
            cursor.execute(query, params, prepare=False)
    return cursor.fetchall()


def resolve(connection: Connection, definition: Definition) -> Table:
    """The table that is meant. Raises BackfillRefused, psycopg.Error."""
    try:
        with connection.transaction():
            found = fetch(connection, get("backfill_table"), [definition.table])
            if not found:
                raise BackfillRefused(f"There is no table {definition.table} on this role's search_path.")
            ((oid, schema, name, kind, tuples, may_keep),) = found
            columns = fetch(connection, get("backfill_keys"), [oid])
    except (psycopg.errors.InvalidName, psycopg.errors.SyntaxError, psycopg.errors.FeatureNotSupported) as error:
        said = error.diag.message_primary
        raise BackfillRefused(f"{definition.table!r} is no name of a table: {said}.") from error
    if kind not in {"r", "p"}:
        raise BackfillRefused(f"{schema}.{name} is no table: only tables and partitioned tables can be backfilled.")
    key, typename = _key(f"{schema}.{name}", definition.key, columns)
    if typename not in TYPES:
        known = ", ".join(dict.fromkeys(TYPES.values()))
        raise BackfillRefused(f"Column {key} of {schema}.{name} is of type {typename}; a key may be {known}.")
    style = connection.info.parameter_status("DateStyle") or "ISO"
    if typename in {"date", "timestamp", "timestamptz"} and not style.startswith("ISO"):
        raise BackfillRefused(
            f"Under DateStyle {style} another session may read key {key} as another day: set datestyle to ISO first."
        )
    return Table(schema, name, key, TYPES[typename], None if tuples is None else int(tuples), may_keep)


def _key(table: str, wanted: str | None, columns: list[tuple[Any, ...]]) -> tuple[str, str]:
    if wanted is None:
        for name, typename, _, _, _, primary_alone in columns:
            if primary_alone:
                return name, typename
        parts = [name for name, _, _, _, primary_part, _ in columns if primary_part]
        what = f"has a key of several columns ({', '.join(parts)})" if parts else "has no primary key"
        raise BackfillRefused(f"Table {table} {what}: name a unique column by --key.")
    for name, typename, not_null, alone, _, _ in columns:
        if name != wanted:
            continue
        if not alone:
            raise BackfillRefused(
                f"Column {wanted} of {table} has no unique index of its own, so that each batch would read the whole "
                f"table; this one helps: create unique index concurrently on {table} ({wanted});"
            )
        if not not_null:
            raise BackfillRefused(
                f"Column {wanted} of {table} may be null, and rows without a key would be left out: "
                f"alter table {table} alter column {wanted} set not null;"
            )
        return name, typename
    raise BackfillRefused(f"Table {table} has no column {wanted}.")
