"""The statements of a backfill, composed once: identifiers are quoted, SET and WHERE are the operator's own SQL."""

from __future__ import annotations

from typing import LiteralString

from psycopg import sql

from guard.client.backfill.definition import Definition
from guard.client.backfill.table import Table
from guard.sql import get


class Statements:
    """Each takes named values; *first* stands for the batch that no key comes before."""

    def __init__(self, table: Table, definition: Definition) -> None:
        self._parts: dict[str, sql.Composable] = {
            "table": table.identifier,
            "key": sql.Identifier(table.key),
            "type": sql.SQL(table.type),
            "set": _own(definition.set_),
            "where": _own(definition.where),
        }
        self._batches = {first: self._batch(first=first, may_keep=table.may_keep) for first in (True, False)}
        self.end = self._composed("backfill_end")
        self.holder = self._composed("backfill_holder")
        self.matching = self._composed("backfill_matching")

    def next(self, *, first: bool) -> sql.Composed:
        """After which key a batch ends: values `after`, `end`, `more`."""
        return self._composed("backfill_next", first=first)

    def batch(self, *, first: bool) -> sql.Composed:
        """The batch: values `run`, `pass`, `after`, `end`, `more`."""
        return self._batches[first]

    def _batch(self, *, first: bool, may_keep: bool) -> sql.Composed:
        kept = self._composed("backfill_kept", first=first) if may_keep else sql.SQL("0")
        return self._composed("backfill_batch", first=first, kept=kept)

    def _composed(self, name: LiteralString, *, first: bool = True, **more: sql.Composable) -> sql.Composed:
        after = sql.SQL("" if first else "{key} > %(after)s::text::{type} and").format(**self._parts)
        return sql.SQL(get(name)).format(**self._parts, after=after, **more)


def _own(text: str) -> sql.SQL:
    # A line of its own, or a comment at its end would swallow what follows; % would be the driver's.
    return sql.SQL(text.replace("%", "%%") + "\n")
