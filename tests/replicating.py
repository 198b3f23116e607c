"""A primary and a standby with a line between them, a guard's probes at work on them, and what is true meanwhile.

The truth: it notes when it wrote which WAL, and asks the standby itself how far it has replayed, which no probe does.
States of trouble are brought about in states.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psycopg
from psycopg import conninfo

from guard.demo.embedded import Binaries, Cluster, Server
from guard.demo.proxy import Proxy
from guard.model import Sample
from guard.model.metric import Labels
from guard.poll.aside import Aside
from guard.poll.replication import FURTHER, ReplicationProbe
from guard.postgres import Door
from tests.shipped import as_guard
from tests.waiting import wait_for

PERIOD = 0.1
"""Seconds between two polls."""
REPLY, IDLE_REPLY = 1.0, 2.5
"""Seconds that a standby may owe a reply for WAL, and for nothing (it speaks each second by itself here)."""
MB = 1 << 20
SETTINGS = {"wal_keep_size": "0", "wal_level": "logical"}
_STANDBY, _SLOT = (("standby", "replica1"),), (("slot", "replica1"),)
SELECTED: Final[tuple[tuple[str, Labels], ...]] = (
    *((f"replication.{name}", _STANDBY) for name in ("lag", "lag_bytes", "write_lag_bytes", "reply_age")),
    *((f"replication.{name}", _SLOT) for name in ("retained_bytes", "slot_inactive_for")),
)
"""Series of the one standby and of its slot."""
Standbys = tuple[str, ...] | int


@dataclass(frozen=True)
class Observed:
    """One poll, and what was certainly true of the standby as it was made; None where it cannot be asked."""

    at: float
    """When it was asked, monotonic."""
    found: Mapping[str, Sample]
    lag: float | None
    behind: int | None


class _Asked:
    """A connection that is kept, and made anew after an error; threads take turns."""

    def __init__(self, server: Server) -> None:
        self._server, self._turn = server, threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None

    def __call__(self, query: str, *params: object) -> list[tuple[Any, ...]]:
        with self._turn:
            try:
                if self._connection is None:
                    self._connection = self._server.connect(connect_timeout=2, application_name="embedded")
                return self._connection.execute(query.encode(), params).fetchall()
            except psycopg.Error:
                self.close()
                raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


class World:
    """The servers, the line between them, and what was written when."""

    def __init__(self, binaries: Binaries) -> None:
        self.cluster = Cluster.start(standbys=1, slots=True, settings=SETTINGS, binaries=binaries)
        self.primary, self.standby = self.cluster.primary, self.cluster.standby
        self.ask_primary, self.ask_standby = _Asked(self.primary), _Asked(self.standby)
        self.line = Proxy(self.primary.port)
        self.standby.follow(self.line.port, self.primary)
        wait_for(lambda: self.line.connections)
        self.dsn = as_guard(self.primary.dsn())
        self._marks: list[tuple[float, int]] = []
        self.wait_settled()

    def close(self) -> None:
        """End the servers."""
        self.ask_primary.close()
        self.ask_standby.close()
        self.cluster.stop("immediate")
        self.line.close()

    def restore(self) -> None:
        """Well again, whatever a state left behind that was not left in order."""
        self.line.limit(None)
        self.line.heal()
        for server in self.cluster.servers:
            server._thaw_all()
            server.start()
        self.standby.resume_replay()
        self.wait_settled()

    # -- the truth -----------------------------------------------------------------------------------------------------

    def write(self, size: int = 16, times: int = 1) -> None:
        """Write WAL: *size* bytes in a transaction of their own, that many times."""
        query = "select pg_logical_emit_message(true, 'load', repeat('x', %s)) - '0/0'::pg_lsn"
        for _ in range(times):
            ((lsn,),) = self.ask_primary(query, size)
            self._marks.append((time.monotonic(), int(lsn)))

    def truth(self, at: float) -> tuple[float | None, int | None]:
        """How old the oldest WAL is, of that written by *at*, which the standby lacks by now; and how much it lacks."""
        try:
            ((replayed,),) = self.ask_standby("select pg_last_wal_replay_lsn() - '0/0'::pg_lsn")
        except psycopg.Error:
            return None, None
        missing = [mark for mark in self._marks[:] if mark[1] > replayed and mark[0] <= at]
        return (at - missing[0][0], missing[-1][1] - int(replayed)) if missing else (0.0, 0)

    def wait_lag(self, above: float) -> None:
        """Wait until the standby is truly so many seconds behind."""
        wait_for(lambda: self.truth_now() > above, message=f"a lag of {above} s")

    def truth_now(self) -> float:
        """How many seconds it is behind; 0 where it cannot be asked."""
        return self.truth(time.monotonic())[0] or 0.0

    def naive(self) -> float:
        """What is read of the lag by those who take the column as it is."""
        query = "select coalesce(extract(epoch from max(replay_lag)), 0) from pg_stat_replication"
        return float(self.ask_primary(query)[0][0])

    def says(self, condition: str, name: str = "replica1") -> bool:
        """Whether the primary shows a walsender of that name that fits the *condition*."""
        query = "select 1 from pg_stat_replication where application_name = %s and "
        return bool(self.ask_primary(f"{query}({condition})", name))

    def wait_says(self, condition: str, name: str = "replica1") -> None:
        wait_for(lambda: self.says(condition, name), message=f"{name}: {condition}", ignoring=(psycopg.Error,))

    def wait_settled(self) -> None:
        """Wait until the standby streams and has replayed all."""
        self.cluster.wait_streaming()
        self.cluster.wait_replayed()

    # -- probes --------------------------------------------------------------------------------------------------------

    def probe(self, standbys: Standbys, aside: Aside | None = None) -> ReplicationProbe:
        door = Door(self.dsn, purpose="replication", deadline=1.0)
        selected = SELECTED if standbys != 1 and aside is None else ()
        return ReplicationProbe(
            door,
            standbys,
            metrics=FURTHER,
            selected=selected,
            aside=aside,
            reply_limit=REPLY,
            idle_reply_limit=IDLE_REPLY,
        )

    def probe_that_asks_itself(self) -> ReplicationProbe:
        dsn = conninfo.make_conninfo(self.standby.dsn(), user=conninfo.conninfo_to_dict(self.dsn)["user"])
        aside = Aside({"replica1": lambda: Door(dsn, purpose="standby", deadline=0.8)})
        return self.probe(("replica1",), aside)

    async def look(self, *probes: ReplicationProbe) -> list[Observed]:
        """One poll of each, at once."""
        asked = time.monotonic()
        seen = await asyncio.gather(*(probe.poll() for probe in probes))
        truth = self.truth(asked)
        return [Observed(asked, {sample.sensor: sample for sample in each.samples}, *truth) for each in seen]

    def look_anew(self) -> list[Observed]:
        """What a guard sees that starts only now, in its first two polls."""

        async def main() -> list[Observed]:
            probe = self.probe(("replica1",))
            first = await self.look(probe)
            await asyncio.sleep(PERIOD)
            both = [*first, *await self.look(probe)]
            await probe.close()
            return both

        return asyncio.run(main())

    # -- states --------------------------------------------------------------------------------------------------------

    def set(self, **settings: str | None) -> None:
        """Change settings of the primary at once; None takes a change back."""
        for name, value in settings.items():
            change = f"set {name} = '{value}'" if value is not None else f"reset {name}"
            self.primary.execute(f"alter system {change}".encode())
        self.primary.execute("select pg_reload_conf()")

    @contextlib.contextmanager
    def tool(self, name: str, *arguments: str) -> Iterator[None]:
        """One of PostgreSQL's programs at work on the primary, with a directory of its own, until the end."""
        with tempfile.TemporaryDirectory() as directory:
            command = [self.cluster.binaries.path(name), "-h", "127.0.0.1", "-p", str(self.primary.port)]
            command += ["-U", "postgres", *(directory if each == "DIRECTORY" else each for each in arguments)]
            environment = {**os.environ, "PGPASSWORD": self.cluster.password}
            with subprocess.Popen(
                command, env=environment, cwd=Path("/"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ) as process:
                try:
                    yield
                finally:
                    process.kill()
        wait_for(lambda: not self.says("true", name))


class Watching:
    """A guard at work: in a thread of its own it polls, and beats before each poll while *beats* is true.

    A beat is what a guard writes for the standbys' sake. One probe expects the standby by name, one any standby, and
    one also asks the standby itself.
    """

    def __init__(self, world: World) -> None:
        self.beats = True
        self.all: list[list[Observed]] = []
        """By name, by number, and asked itself; of each poll."""
        self.world = world
        self._stop = False
        self._failed: BaseException | None = None
        self._came = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="watching", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop = True
        self._thread.join(10)

    def next(self, count: int, within: float = 15.0) -> list[list[Observed]]:
        """The next *count* polls of which none has begun yet."""
        with self._came:
            first = len(self.all) + 1  # one may be under way
            came = self._came.wait_for(lambda: self._failed or len(self.all) >= first + count, within)
            assert came, f"no {count} polls within {within:g} s"
            if self._failed is not None:
                raise self._failed
            return self.all[first : first + count]

    def _run(self) -> None:
        try:
            asyncio.run(self._watch())
        except BaseException as error:  # noqa: BLE001 - told to the test by next()
            with self._came:
                self._failed = error
                self._came.notify_all()

    async def _watch(self) -> None:
        probes = self.world.probe(("replica1",)), self.world.probe(1), self.world.probe_that_asks_itself()
        while not self._stop:
            if self.beats:
                with contextlib.suppress(psycopg.Error):
                    self.world.write()
            seen = await self.world.look(*probes)
            with self._came:
                self.all.append(seen)
                self._came.notify_all()
            await asyncio.sleep(PERIOD)
        for probe in probes:
            await probe.close()
