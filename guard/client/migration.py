"""The loop of a migration under guard: asks before each batch, waits with no transaction open, reports and ends.

It does not run batches, open connections or retry: those stay the caller's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import psycopg
from psycopg import pq

from guard.client import fencing
from guard.client.asking import Answer, Asker, Line, register
from guard.client.outcomes import Aborted, AlreadyRunning, GuardLost, Paused
from guard.client.pacing import Pacer, pacer_of

T = TypeVar("T")
OnGuardLost = Literal["wait", "proceed", "fail"]

_WAKE = 15.0
"""Seconds in which a dormant guard is given time to wake before it counts as lost."""
_ALIVE_EVERY, _PROGRESS_EVERY = 5.0, 1.0

log = logging.getLogger("guard.client")


class Migration:
    """One run of the migration *name* on *connection*, from the ``with`` to its end.

    *on_guard_lost* says what to do when no guard speaks: ``wait`` (for *give_up_after* seconds, then GuardLost),
    ``proceed`` without a guard, or ``fail`` at once. An answer is used again for *fresh_for* seconds, and *poll* is the
    pause between two questions while waiting, in seconds. *exclusive* refuses a second live run of the name.
    *on_wait* is told in words why it waits, once for each reason; by default that is a line of logger ``guard.client``.

    Entering raises AlreadyRunning, NotInstalled, NotPermitted, Paused (a transaction is open), psycopg.Error.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        name: str,
        *,
        on_guard_lost: OnGuardLost = "wait",
        give_up_after: float = 900.0,
        fresh_for: float = 0.2,
        poll: float = 0.5,
        exclusive: bool = True,
        on_wait: Callable[[str], None] = log.warning,
    ) -> None:
        self.name = name
        self._line = Line(connection)
        self._on_guard_lost, self._give_up_after = on_guard_lost, give_up_after
        self._fresh_for, self._poll = fresh_for, poll
        self._exclusive, self._on_wait = exclusive, on_wait
        self._run_id: int | None = None
        self._told: tuple[object, ...] | None = None
        self._good_until = self._fenced_until = self._written_at = 0.0
        self._acknowledged = self._rows = self._batches = 0
        self._note: str | None = None
        self._alarm: str | None = None
        self._changed = False

    @property
    def run_id(self) -> int:
        """The id of this run. Raises RuntimeError outside of the ``with``."""
        if self._run_id is None:
            raise RuntimeError("use it in a with statement: with Migration(connection, name) as migration:")
        return self._run_id

    def __enter__(self) -> Self:
        self._refuse_transaction()
        try:
            run_id = register(self._line, self.name, on_guard_lost=self._on_guard_lost, exclusive=self._exclusive)
        except psycopg.errors.ObjectInUse as error:
            raise AlreadyRunning(error.diag.message_primary or str(error)) from error
        self._begin(run_id)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        outcome = "done" if error is None else "aborted" if isinstance(error, Aborted) else "failed"
        detail = None if error is None else _in_short(error)
        if error is not None:
            self._line.give_up_transaction()
        status = self._line.status
        usable = status is pq.TransactionStatus.IDLE or (error is None and status is pq.TransactionStatus.INTRANS)
        if not usable:  # the transaction is the caller's to end; the guard notices the end of the session
            log.warning("the end of run %s (%s) is not recorded: a transaction is open", self._run_id, outcome)
            return
        try:
            self._write_progress()
            # In a transaction that the caller has yet to commit, the end of the run is committed with it.
            self._line.run("client_finish" if self._line.idle else "client_finish_here", self.run_id, outcome, detail)
        except psycopg.Error as failure:
            if error is None:
                raise
            log.warning("the end of run %s (%s) is not recorded: %s", self._run_id, outcome, failure)

    # -- the loop --------------------------------------------------------------------------------------

    def pace(self, batches: Iterable[T], *, window: Pacer | int | None = None) -> Iterator[T]:
        """The same batches, each not before it may begin: asks before the next one is fetched.

        Where fetching took longer than an answer is fresh, and left no transaction open, it asks again. With *window*
        it also waits while the slowest expected standby has more WAL than that to replay: bytes, a Pacer, or True for
        as much as that standby replays in a quarter of the guard's limit.
        """
        iterator, pacer = iter(batches), pacer_of(window, self._line, self._on_wait)
        while True:
            self.checkpoint()
            if pacer is not None:
                self._hold(pacer)
            try:
                batch = next(iterator)
            except StopIteration:
                return
            if self._line.idle:
                self.checkpoint()
            yield batch
            self._batches += 1
            self._changed = True
            self._report()

    def _hold(self, pacer: Pacer) -> None:
        """Wait for the window; meanwhile the run acknowledges and obeys orders as in any wait."""
        while (seconds := pacer.hold()) > 0:
            self._warn(pacer.alarm)
            time.sleep(seconds)
            self.checkpoint()
        self._warn(pacer.alarm)

    def _warn(self, alarm: str) -> None:
        """Note what people must be told, beside what the caller notes; once it is over, that there is nothing."""
        if alarm != (self._alarm or ""):
            self._alarm, self._changed = alarm, True
        self._report()

    def checkpoint(self) -> None:
        """Return when the migration may go on; wait until then with no transaction open.

        Inside a fence it returns at once. Raises Paused inside a transaction, Aborted, GuardLost, psycopg.Error.
        """
        self._refuse_transaction()
        if time.monotonic() < max(self._good_until, self._fenced_until):
            return
        waiting_since = lost_since = None
        while True:
            answer = self._asker.ask()
            self._acknowledge(answer)
            now = time.monotonic()
            kind = self._kind(answer, now)
            if kind == "proceed" or (kind == "lost" and self._on_guard_lost == "proceed"):
                self._go_on(answer, kind, waiting_since)
                return
            waiting_since = waiting_since or now
            lost_since = (lost_since or now) if kind == "lost" else None
            self._refuse_to_wait(answer, kind, now - lost_since if lost_since else 0.0)
            self._tell(answer, kind)
            if answer.source != "server":
                # Else what was done before the pause would be told after it, as if it had been done meanwhile.
                self._report()
            time.sleep(self._poll)

    @contextmanager
    def fence(self, what: str, at_most: float | str = 30.0) -> Iterator[None]:
        """A section in which the guard must not cancel this run: ``with migration.fence("cut-over", "20s"):``.

        It begins when the migration may go on, like a checkpoint, and with no transaction open. It lasts *at_most*
        (seconds, or an interval as PostgreSQL reads it) and ends with its block, the run or the session. What is due
        meanwhile waits for its end, be it a cancel, a rollback or, since nothing is asked in it, a pause.

        Raises what `checkpoint` does, FenceRefused, and NotInstalled where the schema is of an earlier version.
        """
        self.checkpoint()
        asked = time.monotonic()
        while (left := fencing.declare(self._line, self.run_id, what, at_most)) is None:
            time.sleep(self._poll)
            self._good_until = 0.0
            self.checkpoint()
            asked = time.monotonic()
        self._fenced_until = asked + left
        try:
            yield
        finally:
            self._fenced_until = self._good_until = 0.0
            fencing.lift(self._line, self.run_id, what)

    def progress(self, rows: int = 0, *, note: str | None = None) -> None:
        """Count *rows* as done; written at most once a second, and only between transactions."""
        self._rows += rows
        self._note = note if note is not None else self._note
        self._changed = True
        self._report()

    # -- parts of a checkpoint -------------------------------------------------------------------------

    def _begin(self, run_id: int) -> None:
        self._run_id = run_id
        self._asker = Asker(self._line, self.name, run_id)
        self._began_at = time.monotonic()

    def _kind(self, answer: Answer, now: float) -> str:
        waking = answer.mode == "dormant" and now - self._began_at < _WAKE
        return "pause" if answer.kind == "lost" and waking else answer.kind

    def _refuse_transaction(self) -> None:
        if not self._line.idle:
            raise Paused(
                f"Migration {self.name} asked inside a transaction ({self._line.status.name}), where it must not wait: "
                "commit or roll back before checkpoint() and before the next batch of pace()."
            )

    def _refuse_to_wait(self, answer: Answer, kind: str, lost_for: float) -> None:
        if kind == "abort":
            raise Aborted(f"Migration {self.name} is aborted: {answer.because}")
        if kind == "lost" and (self._on_guard_lost == "fail" or lost_for > self._give_up_after):
            raise GuardLost(f"Migration {self.name} has no guard: {answer.because}")

    def _acknowledge(self, answer: Answer) -> None:
        now = time.monotonic()
        news = answer.kind != "lost" and answer.epoch is not None and answer.epoch > self._acknowledged
        alive = answer.source != "server" and now - self._written_at > _ALIVE_EVERY
        if news or alive:
            epoch = answer.epoch if news and answer.epoch is not None else self._acknowledged
            # A server that is read-only for a while fails the next batch perhaps, but not one who merely waits.
            with suppress(psycopg.errors.ReadOnlySqlTransaction):
                written = self._line.run("client_acknowledge", self.run_id, epoch)[0]
                self._acknowledged = epoch if written else self._acknowledged
            self._written_at = now

    def _go_on(self, answer: Answer, kind: str, waiting_since: float | None) -> None:
        self._good_until = self._asker.good_until(answer, self._fresh_for)
        if kind == "lost":
            self._good_until = answer.asked_at + self._fresh_for
            self._tell(answer, kind)
            return
        if self._told is not None and waiting_since is not None:
            log.info(
                "migration %s goes on after %.1f s: %s", self.name, time.monotonic() - waiting_since, answer.because
            )
        self._told = None

    def _tell(self, answer: Answer, kind: str) -> None:
        key = (kind, answer.source, answer.mode if kind == "lost" else answer.because)
        if key != self._told:
            self._told = key
            does = "goes on without a guard" if kind == "lost" and self._on_guard_lost == "proceed" else "waits"
            self._on_wait(f"migration {self.name} {does}: {answer.because}")

    def _report(self) -> None:
        if self._line.idle and time.monotonic() - self._written_at > _PROGRESS_EVERY:
            self._write_progress()

    def _write_progress(self) -> None:
        if self._changed and self._line.idle:
            self._written_at = time.monotonic()
            with suppress(psycopg.errors.ReadOnlySqlTransaction):
                noted = [each for each in (self._note, self._alarm) if each is not None]
                note = "; ".join(filter(None, noted)) if noted else None
                written = self._line.run("client_progress", self.run_id, self._rows, self._batches, note)[0]
                self._changed = not written


def _in_short(error: BaseException) -> str:
    """What is recorded of a failure, and told in chats: of PostgreSQL's errors not the detail, where values stand."""
    said = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return f"{type(error).__name__}: {said or error}"
