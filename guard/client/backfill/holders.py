"""Who holds the row for which a batch has waited in vain, told by the server's own words on it. It ends nobody."""

from __future__ import annotations

import re

import psycopg

from guard.client.backfill.statements import Statements
from guard.client.backfill.table import Connection, fetch

_ROW = re.compile(r"\(\d+,\d+\)")
"""`while updating tuple (0,5) in relation "t"`, in whatever language."""


def holder(connection: Connection, statements: Statements, error: psycopg.Error) -> str:
    """`pid 7 (anna, psql)`; empty where that is not known."""
    found = _ROW.search(error.diag.context or "")
    if found is None:
        return ""
    try:
        with connection.transaction():
            rows = fetch(connection, statements.holder, [found[0]])
    except psycopg.Error:  # it is only said beside the trouble, and must be none itself
        return ""
    return "".join(f"pid {pid} ({user}, {name or 'no application_name'})" for pid, user, name in rows)
