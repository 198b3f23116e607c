"""How a backfill is best paced beside a standby that cannot keep up: not at all, on and off, by a sleep, by the window.

The standby is limited by its line (a proxy) or by its replay (its startup process is stopped in turns of milliseconds,
so that it replays so many bytes a second and no more). What is true is asked of both servers, each 20 ms.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich.table import Table

from benchmarks.rig import Connection, Rig, stopping
from benchmarks.table import Bar, Row
from benchmarks.truth import REPLAYED, Truth, ask
from guard.client import Pacer
from guard.demo.embedded import Server
from guard.demo.proxy import Proxy

ROWS, TABLE_ROWS = 1000, 200_000
LIMIT = 1.0
"""Seconds of lag at which the migration is paused."""
FAST, SLOW, EVERY = 8 << 20, 2 << 20, 3.0
"""Bytes/s of the line, and how long it has each speed where it jumps."""
REPLAY, TURN = 5 << 20, 0.004
"""Bytes/s of replay where that is what is limited, and the seconds for which it runs before it may have to rest."""
WITHIN, WITHIN_REPLAY, OF_ON_OFF = 1.05, 1.25, 0.25
POLL = 0.1
"""Seconds between two looks of on/off throttling."""
Say = Callable[[str], None]
Gate = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Run:
    """What came of one policy in one scene."""

    scene: str
    policy: str
    done: float
    """Seconds until the last batch was committed."""
    caught_up: float
    """Seconds until the standby had replayed it."""
    peak: float
    """Seconds of lag at most."""
    size: int
    """Bytes of WAL from the first batch to the last."""
    needs: float = 0.0
    """Seconds in which the standby can replay as much, by the run without a throttle."""


class OnOff:
    """Waits from LIMIT seconds of true lag until 70 % of it, looked up each POLL seconds: a guard at its best."""

    def __init__(self, truth: Truth) -> None:
        self._truth, self._paused, self._looked = truth, False, float("-inf")

    def __call__(self) -> None:
        while True:
            now = time.monotonic()
            if now - self._looked >= POLL:
                self._looked = now
                self._paused = self._truth.lag() > (0.7 * LIMIT if self._paused else LIMIT)
            if not self._paused:
                return
            time.sleep(0.01)


@contextlib.contextmanager
def even(line: Proxy, _: Server) -> Iterator[None]:
    """A line of one speed."""
    line.limit(FAST)
    try:
        yield
    finally:
        line.limit(None)


@contextlib.contextmanager
def jumping(line: Proxy, _: Server) -> Iterator[None]:
    """One that is fast and slow in turns, from the beginning of a run on."""
    over = threading.Event()

    def jump() -> None:
        while True:
            for speed in (FAST, SLOW):
                line.limit(speed)
                if over.wait(EVERY):
                    return

    thread = threading.Thread(target=jump, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        line.limit(None)


@contextlib.contextmanager
def slow_replay(_: Proxy, standby: Server) -> Iterator[None]:
    """A standby that receives at once and replays REPLAY bytes/s: its startup process rests while it is ahead."""
    ((pid,),) = standby.execute("select pid from pg_stat_activity where backend_type = 'startup'")
    over = threading.Event()

    def hold_back(connection: Connection) -> None:
        before, allowed = time.monotonic(), float(ask(connection, REPLAYED))
        while not over.wait(TURN):
            # Asked while it runs: stopped, it may hold what every query needs.
            now, replayed = time.monotonic(), ask(connection, REPLAYED)
            # What it did not use while it had nothing to do is gone.
            allowed = min(allowed + REPLAY * (now - before), replayed + 4 * REPLAY * TURN)
            before = now
            if replayed > allowed:
                os.kill(pid, signal.SIGSTOP)
                over.wait(min((replayed - allowed) / REPLAY, 50 * TURN))
                os.kill(pid, signal.SIGCONT)

    with standby.connect() as connection:
        thread = threading.Thread(target=hold_back, args=(connection,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


SCENES = {"line of 8 MB/s": even, "line of 8 and 2 MB/s": jumping, "replay of 5 MB/s": slow_replay}


class Stage:
    """One rig, its standby behind the proxy, and one run after the other on it."""

    def __init__(self, rig: Rig, line: Proxy, batches: int, say: Say) -> None:
        self._rig, self._line, self._batches, self._say = rig, line, batches, say
        self._first = 0

    def scene(self, name: str, suffix: str = "") -> list[Run]:
        """All policies; what the standby needs is known from the first one."""
        free, truth = self._run(name, suffix, "no throttle", lambda _c, _t: lambda: None)
        sleep = max(0.0, (free.caught_up - free.done) / self._batches)
        policies: dict[str, Callable[[Connection, Truth], Gate]] = {
            f"on/off at {LIMIT:g} s, polled each {POLL:g} s": lambda _c, t: OnOff(t),
            "best fixed sleep": lambda _c, _t: lambda: time.sleep(sleep),
            "window": lambda c, _t: Pacer(c, standbys=["replica1"], pause_limit=LIMIT).wait,
        }
        runs = [free, *(self._run(name, suffix, policy, gate)[0] for policy, gate in policies.items())]
        return [_with_needs(run, truth) for run in runs]

    def _run(
        self, scene: str, suffix: str, policy: str, make: Callable[[Connection, Truth], Gate]
    ) -> tuple[Run, Truth]:
        cluster = self._rig.cluster
        cluster.wait_replayed()
        self._rig.admin.execute("vacuum items")
        self._rig.admin.execute("checkpoint")
        cluster.wait_replayed()
        with (
            self._rig.connect("migrator", "migration:pace") as connection,
            Truth(cluster.primary, cluster.standby) as truth,
            SCENES[scene](self._line, cluster.standby),
        ):
            gate = make(connection, truth)
            began, start = time.monotonic(), truth.written()
            for _ in range(self._batches):
                gate()
                self._batch(connection)
            done, end = time.monotonic() - began, truth.written()
            truth.wait_replayed(end)
            caught_up = time.monotonic() - began
        truth.began, truth.start = began, start
        run = Run(scene + suffix, policy, done, caught_up, truth.peak(), end - start)
        self._say(f"{run.scene}, {policy}: {done:.1f} / {caught_up:.1f} s, peak {run.peak:.2f} s")
        return run, truth

    def _batch(self, connection: Connection) -> None:
        first = self._first
        self._first = (first + ROWS) % TABLE_ROWS
        connection.execute("update items set n = n + 1 where id > %s and id <= %s", [first, first + ROWS])


def _with_needs(run: Run, truth: Truth) -> Run:
    needs = truth.time_for(run.size)
    return Run(run.scene, run.policy, run.done, run.caught_up, run.peak, run.size, needs)


def measure(batches: int, say: Say, *, writers: bool) -> tuple[list[Row], list[Run]]:
    """Every scene, without and, where *writers* is true, with writers of the same rows beside it."""
    runs: list[Run] = []
    with Rig() as rig, Proxy(rig.primary.port) as line:
        rig.cluster.standby.follow(line.port, rig.primary)
        rig.cluster.standby.restart()
        rig.cluster.wait_streaming()
        stage = Stage(rig, line, batches, say)
        for name in SCENES:
            runs += stage.scene(name)
        if writers:
            with stopping(rig.child("writers", "app", str(rig.directory / "wrote"), "4", str(TABLE_ROWS))):
                for name in SCENES:
                    runs += stage.scene(name, ", 4 writers")
    return rows(runs), runs


def rows(runs: list[Run]) -> list[Row]:
    """The promises, for each scene."""
    found = []
    for scene in dict.fromkeys(run.scene for run in runs):
        by = {run.policy.partition(" at ")[0]: run for run in runs if run.scene == scene}
        window, on_off = by["window"], by["on/off"]
        within = WITHIN_REPLAY if scene.startswith("replay") else WITHIN
        time_row = Row(
            f"paced backfill, {scene}: caught up, against what the standby needs",
            (window.caught_up / window.needs,),
            "x",
            Bar(within, "max"),
        )
        lag_row = Row(
            f"paced backfill, {scene}: peak lag, of on/off's at the same limit",
            (window.peak / on_off.peak,),
            "x",
            Bar(OF_ON_OFF, "max"),
        )
        found += [time_row, lag_row]
    return found


def table(runs: list[Run]) -> Table:
    """Each policy in each scene."""
    result = Table(title="pacing beside a standby that cannot keep up", title_justify="left")
    for name in ("scene", "policy"):
        result.add_column(name, overflow="fold")
    for name in ("done, s", "caught up, s", "of what it needs", "peak lag, s", "WAL, MB"):
        result.add_column(name, justify="right")
    for run in runs:
        share = f"{run.caught_up / run.needs:.2f} x"
        numbers = (f"{run.done:.1f}", f"{run.caught_up:.1f}", share, f"{run.peak:.2f}", f"{run.size / (1 << 20):.0f}")
        result.add_row(run.scene, run.policy, *numbers)
    return result
