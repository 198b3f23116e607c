"""What is true of a standby: how far the primary had written and how far it had replayed, by both servers' own word."""

from __future__ import annotations

import bisect
import threading
import time
from types import TracebackType
from typing import Self

from benchmarks.rig import Connection
from guard.demo.embedded import Server
from guard.demo.waiting import wait_for

EVERY = 0.02
WRITTEN = "select pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
REPLAYED = "select pg_last_wal_replay_lsn() - '0/0'::pg_lsn"


class Truth:
    """Looks at both servers each EVERY seconds from the beginning to the end of its block."""

    def __init__(self, primary: Server, standby: Server) -> None:
        self._primary, self._standby = primary.connect(), standby.connect()
        self._own = primary.connect()
        self._times: list[float] = []
        self._writes: list[int] = []
        self._replays: list[int] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.began, self.start = 0.0, 0
        """When the work began, and where the WAL was then; set by whoever does the work."""

    def __enter__(self) -> Self:
        self._thread.start()
        wait_for(lambda: self._replays)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(10)
        for connection in (self._primary, self._standby, self._own):
            connection.close()

    def _look(self) -> None:
        while not self._over.wait(EVERY):
            written, at = ask(self._primary, WRITTEN), time.monotonic()
            replayed = ask(self._standby, REPLAYED)
            self._times.append(at)
            self._writes.append(written)
            self._replays.append(replayed)

    def written(self) -> int:
        """How far the primary has written by now, in bytes."""
        return ask(self._own, WRITTEN)

    def wait_replayed(self, position: int) -> None:
        """Wait until the standby was seen to have come so far."""
        wait_for(lambda: self._replays[-1] >= position, within=300, every=EVERY)

    def lag(self, of: int = -1) -> float:
        """Seconds since the oldest WAL was seen written that was not replayed at look number *of*."""
        replayed, now = self._replays[of], self._times[of]
        first = bisect.bisect_right(self._writes, replayed)
        return max(0.0, now - self._times[first]) if first < len(self._times) else 0.0

    def peak(self) -> float:
        """The longest lag of all."""
        return max(self.lag(each) for each in range(len(self._times)))

    def time_for(self, size: int) -> float:
        """Seconds in which the standby replayed so many bytes from the beginning; beyond its end by its mean rate."""
        wanted = self.start + size
        for at, replayed in zip(self._times, self._replays, strict=True):
            if replayed >= wanted:
                return at - self.began
        total, took = self._replays[-1] - self.start, self._times[-1] - self.began
        return took * size / max(total, 1)


def ask(connection: Connection, query: str) -> int:
    """The one number that *query* gives."""
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])
