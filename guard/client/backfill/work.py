"""The loop of a backfill: pass by pass, batch by batch, each asked for first and committed with its cursor.

It opens no connection and does not come back from a broken one: who calls it again goes on where it stopped.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg

from guard.client.backfill import plan
from guard.client.backfill.definition import (
    BATCH_LIMIT,
    BackfillRefused,
    Definition,
    Ended,
    Hindered,
    Manner,
    Progress,
    Stopped,
    Verified,
)
from guard.client.backfill.holders import holder
from guard.client.backfill.pacing import BatchPacer
from guard.client.backfill.state import Standing, State
from guard.client.backfill.statements import Statements
from guard.client.backfill.steering import Backoff, Steering
from guard.client.backfill.table import Connection, Table, fetch, fetch_at_once, resolve
from guard.client.migration import Migration
from guard.errors import NotInstalled
from guard.sql import get

T = TypeVar("T")
log = logging.getLogger("guard.client")

_LONGEST_WAIT = 0.5
"""Seconds that a batch waits for one row, at most: meanwhile others wait for those that it has."""
_IN_THE_WAY = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.QueryCanceled,
    psycopg.errors.SerializationFailure,
)


@dataclass(frozen=True, slots=True)
class Hooks:
    """How a caller looks on: *on_wait* hears in words why it waits, *stop* says whether it is to end."""

    on_progress: Callable[[Progress], None] = lambda _: None
    on_wait: Callable[[str], None] = log.warning
    stop: Callable[[], bool] = lambda: False


def run(
    connection: psycopg.Connection[Any],
    name: str,
    definition: Definition,
    *,
    manner: Manner | None = None,
    hooks: Hooks | None = None,
) -> Ended:
    """Do it, or what is left of it, on an idle *connection*; what a kill leaves behind is taken up by the next call.

    Raises BackfillRefused, Hindered, Stopped; Aborted, AlreadyRunning, GuardLost, NotInstalled, NotPermitted, Paused as
    `Migration` does; psycopg.Error where the connection broke or SET or WHERE fails.
    """
    work = _Work(connection, name, definition, (manner or Manner(), hooks or Hooks()))
    return work.run()


class _Stoppable(Migration):
    """Ends a wait too when it is asked to stop."""

    stop: Callable[[], bool] = staticmethod(lambda: False)

    def checkpoint(self) -> None:
        _refuse_if(self.stop)
        super().checkpoint()

    def _refuse_to_wait(self, answer: Any, kind: str, lost_for: float) -> None:
        super()._refuse_to_wait(answer, kind, lost_for)
        _refuse_if(self.stop)


def _refuse_if(stop: Callable[[], bool]) -> None:
    if stop():
        raise Stopped("It was asked to stop; what is committed stays.")


class _Work:
    def __init__(self, connection: Connection, name: str, definition: Definition, how: tuple[Manner, Hooks]) -> None:
        self._connection, self._name, self._definition = connection, name, definition
        self._manner, self._hooks = how
        self._passes = 0
        self._at: Standing | None = None
        self._pacer = self._paced()
        self._note: str | None = None

    def run(self) -> Ended:
        self._table: Table = resolve(self._connection, self._definition)
        self._statements = Statements(self._table, self._definition)
        plan.check(self._connection, self._statements)
        self._learn()
        with self._registered() as migration:
            self._run_id = migration.run_id
            self._state = State(self._connection, self._run_id)
            fingerprint = self._definition.fingerprint(self._table.words, self._table.key)
            if (before := self._tried(migration, lambda: self._begin(fingerprint))) is not None:
                return before
            for _ in migration.pace(itertools.count(), window=self._pacer):
                ended, rows = self._tried(migration, self._batch)
                migration.progress(rows, note=self._note)
                if ended is not None:
                    return ended
                _refuse_if(self._hooks.stop)
        raise AssertionError("the loop ends by returning")

    def _registered(self) -> _Stoppable:
        migration = _Stoppable(
            self._connection,
            self._name,
            on_guard_lost=self._manner.on_guard_lost,
            give_up_after=self._manner.give_up_after,
            poll=self._manner.poll,
            on_wait=self._hooks.on_wait,
        )
        migration.stop = self._hooks.stop
        return migration

    def _paced(self) -> BatchPacer | None:
        window = self._manner.window
        if window is False:
            return None

        def waits(words: str) -> None:
            self._hooks.on_wait(f"backfill {self._name}: {words}")

        alone = self._manner.on_guard_lost == "proceed"
        return BatchPacer(self._connection, None if window is True else window, waits, alone=alone)

    def _learn(self) -> None:
        """The server's limits: an application that waits for a batch must not be the one who finds a deadlock."""
        with self._connection.transaction():
            ((deadlock, known),) = fetch(self._connection, get("backfill_settings"))
        if not known:
            raise NotInstalled(
                "Schema migration_guard is not in this database, or of an earlier version: run migration-guard install."
            )
        self._lock_timeout = min(_LONGEST_WAIT, deadlock / 2000)
        self._statement_timeout = min(BATCH_LIMIT, deadlock * 0.9 / 1000)
        self._steering = Steering(min(self._manner.batch_time, deadlock / 2000), self._manner.max_batch)

    def _begin(self, fingerprint: str) -> Ended | None:
        """Take it up; how it ended where it had ended before."""
        with self._connection.transaction():
            self._state.begin(self._table.words, self._table.key, fingerprint, anew=self._manner.anew)
            at = self._state.lock()
        return self._ended(at, _verdict(at), before=True) if at.finished else None

    # -- one batch -----------------------------------------------------------------------------------------------------

    def _batch(self) -> tuple[Ended | None, int]:
        """One batch, or the end; how all ended, and rows changed."""
        at, self._at = self._at, None  # what is known of it is known anew once it is committed
        if at is None or at.at_the_end:
            with self._connection.transaction():
                at = self._state.lock()
                if at.at_the_end:
                    if (ended := self._next_pass(at)) is not None:
                        return ended, 0
                    at = self._state.lock()
        size = self._steering.size if self._pacer is None else self._pacer.cut(self._steering.size)
        began = time.monotonic()
        whole, upto, rows, still, kept = self._committed(at, size)
        seconds, keys = time.monotonic() - began, size if whole else max(rows, 1)
        self._at = at.after(upto, keys=keys, rows=rows, still=still, kept=kept)
        self._account(self._at, keys=keys, rows=rows, seconds=seconds)
        return None, rows

    def _committed(self, at: Standing, size: int) -> tuple[bool, str, int, int, int]:
        """Whether the range was whole, its end, and how many rows were changed, match as before, and were kept."""
        values = {"run": self._run_id, "pass": at.pass_, "after": at.last_key, "end": at.end_key, "more": size - 1}
        limits = [f"{round(seconds * 1000)}ms" for seconds in (self._lock_timeout, self._statement_timeout)]
        try:
            found = fetch_at_once(
                self._connection,
                (get("backfill_bounds"), limits),
                (self._statements.batch(first=at.last_key is None), values),
            )
        except psycopg.errors.ObjectNotInPrerequisiteState as error:
            raise BackfillRefused(f"{plan.said(error)}.") from error
        whole, upto, rows, still, kept, _ = found[0]
        return whole, upto, rows, still, kept

    def _account(self, at: Standing, *, keys: int, rows: int, seconds: float) -> None:
        self._steering.took(seconds, keys)
        if self._pacer is not None:
            self._pacer.did(keys, rows)
        self._note = f"pass {at.pass_}, {at.keys} keys" + (
            f" of about {self._table.tuples}" if self._table.tuples else ""
        )
        self._hooks.on_progress(Progress(at.pass_, at.keys, self._table.tuples, at.rows, keys, seconds))

    def _next_pass(self, at: Standing) -> Ended | None:
        """A pass is over, or none was begun yet; how all ended, unless another one begins."""
        clean = at.pass_ > 0 and at.pass_rows == 0
        if clean or at.still:
            ended = self._ended(at, _verdict(at))
            if ended.well:
                self._state.finish()
            return ended
        if self._passes >= self._manner.passes:
            return self._ended(at, "still coming")
        last = fetch(self._connection, self._statements.end)
        if not last:
            self._state.finish()
            return self._ended(at, "nothing left")
        self._state.begin_pass(last[0][0])
        self._passes += 1
        return None

    def _ended(self, at: Standing, verified: Verified, *, before: bool = False) -> Ended:
        return Ended(at.rows, at.still, at.batches, at.pass_, verified, before)

    # -- what is in the way --------------------------------------------------------------------------------------------

    def _tried(self, migration: Migration, work: Callable[[], T]) -> T:
        """Until it is committed, each further try smaller, later and asked for anew. Raises Hindered."""
        backoff, told, spent = Backoff(), False, 0.0  # a pause of the guard's is no try
        while True:
            began = time.monotonic()
            try:
                return work()
            except _IN_THE_WAY as error:
                words, shrink = self._hindrance(error)
            if spent > self._manner.patience:
                raise Hindered(f"No batch could be committed for {self._manner.patience:g} s: {words}.")
            if shrink:
                self._steering.refused()
            if not told:
                self._hooks.on_wait(f"backfill {self._name} tries again: {words}")
                told = True
            self._wait(next(backoff))
            spent += time.monotonic() - began
            migration.checkpoint()

    def _hindrance(self, error: psycopg.Error) -> tuple[str, bool]:
        """What is in the way, and whether a smaller batch helps against it."""
        if "_backfill(" in (error.diag.context or ""):  # its cursor, and not the rows
            return "another session has a batch of it in flight", False
        if isinstance(error, psycopg.errors.QueryCanceled):
            return f"it was cancelled, or took longer than {self._statement_timeout:g} s", True
        if isinstance(error, psycopg.errors.LockNotAvailable):
            whose = holder(self._connection, self._statements, error)
            told = f"{whose} holds a row" if whose else "others hold a lock"
            return f"{told} that it waited for longer than {self._lock_timeout:g} s", True
        return plan.said(error), True

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            _refuse_if(self._hooks.stop)
            time.sleep(min(left, 0.2))


def _verdict(at: Standing) -> Verified:
    if not at.still:
        return "nothing left"
    return "once" if at.still == at.rows else "still match"
