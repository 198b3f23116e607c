"""Paces a migration's own loop by a window of WAL that the slowest expected standby has still to replay.

    pacer = Pacer(connection)
    for batch in batches:
        pacer.wait()
        ...  # one batch, committed

It asks on the migration's own connection while that is idle, and needs no right to see standbys: one function of schema
migration_guard tells it the one number. It asks for no permission; that is Migration's (`pace(batches, window=True)` is
both).
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from guard.client.asking import Line
from guard.client.outcomes import Paused
from guard.client.valve import Limits, Seen, Valve
from guard.errors import NotInstalled, NotPermitted

_GONE = ("3F000", "42P01", "42883")  # no such schema, table, function
_AGAIN_AFTER = 60.0
"""Seconds after which what keeps it waiting is news again."""
_NONE_FOR = 10.0
"""Seconds for which it counts that no standby is expected: a reload of the guard may say otherwise."""

log = logging.getLogger("guard.client")


@dataclass(frozen=True, slots=True)
class Waited:
    """What came before a batch."""

    seconds: float
    because: str = ""
    """What was said last of why it waited; empty where the window was merely full for a moment."""
    unreplayed: int | None = None
    """Bytes that the slowest expected standby had still to replay when the batch was let begin."""
    wrote: int | None = None
    """Bytes of WAL that the batch before wrote, without those of other writers as far as they are known."""


class Pacer:
    """Lets a batch begin once the slowest expected standby has no more than the window still to replay.

    *standbys*: names that must stream, or how many of whatever name; None: those that the guard expects. Where none
    are (`[]`), it rests by how much longer than the best ones a batch takes. *pause_limit*: the lag in seconds at
    which the migration is paused; None: what the guard's rules say. *window*: bytes, fixed; None: a quarter of that
    limit at a low rate of the last minute, and at least two batches. *least_share*: of its time that the migration
    works even where other writers alone fill the window (0.1: a tenth). After *alert_after* seconds of that, `alarm`
    has words for people. *on_wait* is told in words why it waits, where that lasts; once a minute for each reason.

    `wait` and `hold` raise Paused (a transaction is open), NotInstalled, NotPermitted, psycopg.Error.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any] | Line,
        *,
        standbys: Sequence[str] | int | None = None,
        pause_limit: float | None = None,
        window: int | None = None,
        least_share: float = 0.0,
        alert_after: float = 60.0,
        on_wait: Callable[[str], None] = log.warning,
    ) -> None:
        if window is not None and window <= 0:
            raise ValueError("a window has more than 0 bytes")
        if not 0 <= least_share < 1:
            raise ValueError("least_share is at least 0 and less than 1")
        self._line = connection if isinstance(connection, Line) else Line(connection)
        named = list(standbys) if standbys is not None and not isinstance(standbys, int) else standbys
        self._standbys = None if named is None else json.dumps(named)
        self._valve = Valve(Limits(pause_limit, window, least_share, alert_after))
        self._on_wait = on_wait
        self._told: dict[str, float] = {}
        self._none_until = 0.0
        self._last = Seen(None)

    @property
    def batch_bytes(self) -> int | None:
        """Bytes of WAL that one batch should write at most, a quarter of the window; None while that is not known."""
        return self._valve.batch_bytes

    @property
    def window(self) -> int:
        """Bytes that may be un-replayed when a batch begins."""
        return self._valve.window

    @property
    def alarm(self) -> str:
        """What people should be told: that other writers have kept it waiting for too long; else empty."""
        return self._valve.alarm

    def wait(self, work: float = 1.0, *, between: Callable[[], object] = lambda: None) -> Waited:
        """Return when the next batch may begin; call it before each. *work*: how much the last one did, such as rows.

        *between* is called after each time of waiting, with no transaction open.
        """
        began = time.monotonic()
        because = ""
        while (seconds := self.hold(work)) > 0:
            because = self._valve.because or because
            time.sleep(seconds)
            between()
        return Waited(time.monotonic() - began, because, self._last.bytes, self._valve.wrote)

    def hold(self, work: float = 1.0) -> float:
        """One look, for loops that sleep themselves: seconds until the next one, or 0 where the batch may begin."""
        if not self._line.idle:
            raise Paused(
                "A paced migration asked inside a transaction, where it must not wait: commit or roll back first."
            )
        now = time.monotonic()
        if self._valve.may_go_unseen(now):
            return 0.0
        self._valve.ended(now, work)
        self._last = self._look(nudge=self._valve.wants_nudge(now))
        seconds = self._valve.hear(self._last, time.monotonic())
        if self._valve.why:
            self._tell(self._valve.why, self._valve.because)
        return seconds

    def _look(self, *, nudge: bool) -> Seen:
        now = time.monotonic()
        if self._last.expected == 0 and now < self._none_until:
            return self._last
        try:
            seen = Seen(*self._line.run("client_unreplayed", self._standbys, nudge))
        except psycopg.errors.InsufficientPrivilege as error:
            raise NotPermitted(
                "This role may not use schema migration_guard: grant migration_guard_client to it.", error.sqlstate
            ) from error
        except psycopg.Error as error:
            if error.sqlstate not in _GONE:
                raise
            raise NotInstalled(
                "Schema migration_guard is missing here or knows no pacing: run migration-guard install.",
                error.sqlstate,
            ) from error
        self._none_until = now + _NONE_FOR
        return seen

    def _tell(self, why: str, because: str) -> None:
        # Sizes in the words change from look to look, and are no news; that another standby is missing is.
        kind, now = (because if why == "unknown" else why), time.monotonic()
        if now - self._told.get(kind, float("-inf")) > _AGAIN_AFTER:
            self._told[kind] = now
            self._on_wait(f"the next batch waits: {because}")


def pacer_of(window: Pacer | int | None, line: Line, on_wait: Callable[[str], None]) -> Pacer | None:
    """What `pace(batches, window=...)` means: a Pacer of the caller's, a fixed size in bytes, or True: by the rate."""
    if window is None or window is False or isinstance(window, Pacer):
        return window or None
    return Pacer(line, window=None if window is True else window, on_wait=on_wait)
