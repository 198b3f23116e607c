"""Where a backfill stands: its row in schema migration_guard, written in the transaction of each batch by functions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import psycopg

from guard.client.backfill.definition import BackfillRefused
from guard.client.backfill.table import Connection, fetch
from guard.sql import get


@dataclass(frozen=True, slots=True)
class Standing:
    """The row, as it was when it was read or moved last."""

    pass_: int
    last_key: str | None
    end_key: str | None
    keys: int
    rows: int
    still: int
    pass_rows: int
    batches: int
    finished: bool

    def after(self, last_key: str, *, keys: int, rows: int, still: int, kept: int) -> Standing:
        """As it is once a batch has been committed."""
        return replace(
            self,
            last_key=last_key,
            keys=self.keys + keys,
            rows=self.rows + rows,
            still=self.still + still,
            pass_rows=self.pass_rows + rows + kept,
            batches=self.batches + 1,
        )

    @property
    def at_the_end(self) -> bool:
        """Of a pass, or before the first one."""
        return self.last_key == self.end_key


class State:
    """Of one run; every method within a transaction of the caller's. Each raises psycopg.Error."""

    def __init__(self, connection: Connection, run_id: int) -> None:
        self._connection, self._run_id = connection, run_id

    def begin(self, table: str, key: str, fingerprint: str, *, anew: bool) -> None:
        """Take it up. Raises BackfillRefused, and psycopg's LockNotAvailable while a batch is in flight."""
        try:
            self._do("backfill_begin", self._run_id, table, key, fingerprint, anew)
        except psycopg.errors.ObjectNotInPrerequisiteState as error:
            raise BackfillRefused(f"{error.diag.message_primary}: give another name, or --restart.") from error

    def lock(self) -> Standing:
        """Where it stands, until the transaction ends."""
        return Standing(*self._do("backfill_lock", self._run_id))

    def begin_pass(self, end_key: str) -> None:
        self._do("backfill_pass", self._run_id, end_key)

    def finish(self) -> None:
        self._do("backfill_finish", self._run_id)

    def _do(self, query: str, *params: Any) -> tuple[Any, ...]:
        return fetch(self._connection, get(query), params)[0]
