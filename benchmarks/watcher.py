"""A second pair of eyes, 5 ms apart: when a breach became visible in PostgreSQL, and when an order did.

It reads what the guard reads, as a client would read the orders, so that no figure rests on the guard's own word.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from benchmarks.rig import Connection
from guard.demo.waiting import wait_for

EVERY = 0.005

# The flushed position, since no other WAL is sent to standbys; clock_timestamp last, so that no event looks too early.
_LOOK = """
select (select max(pg_current_wal_flush_lsn() - s.replay_lsn)::float8 from pg_stat_replication s),
       (select l.orders -> 'bench' ->> 'kind' from migration_guard.lease l),
       extract(epoch from clock_timestamp())::float8
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What was visible at one moment (*at*: Unix seconds by the server's clock)."""

    behind: float
    """Bytes of WAL that the standby has not replayed."""
    order: str
    at: float


class Watcher:
    """Looks until the end of the with block; the connection is its own from then on."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._looks: deque[Look] = deque(maxlen=20_000)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(10)
        self._connection.close()

    def first(self, wanted: Callable[[Look], bool], since: float, within: float = 30.0) -> float:
        """When something was first seen at or after *since* (Unix seconds); waits for it."""

        def found() -> Look | None:
            return next((look for look in tuple(self._looks) if look.at >= since and wanted(look)), None)

        look = wait_for(found, within=within, every=0.01, message=lambda: f"an observation; the last: {self.last}")
        if look is None:
            raise AssertionError("wait_for returns what is true")
        return look.at

    @property
    def last(self) -> Look:
        """The newest look."""
        return wait_for(lambda: self._looks[-1] if self._looks else None) or Look(0.0, "", 0.0)

    def _run(self) -> None:
        while not self._stop.wait(EVERY):
            row = self._connection.execute(_LOOK).fetchone()
            if row is not None:
                self._looks.append(Look(row[0] if row[0] is not None else float("inf"), row[1] or "", row[2]))
