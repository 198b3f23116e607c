"""serve(): one asyncio loop that owns all state, from start to stop.

Probes are the only interval jobs. The scheduler reckons in wall time, so a watch compares both clocks and has every
job run at once when the wall clock was set; nothing else here looks at it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from guard.daemon import logs, systemd
from guard.daemon.health import Health
from guard.daemon.keeping import kept_up
from guard.daemon.sight import DaemonSight
from guard.decide import notices
from guard.errors import ConfigError, GuardError, HeldByAnother, ServerError, WorldError
from guard.rollbacks import problems_of_hooks
from guard.settings import Settings, load
from guard.watch import Watch
from guard.wiring import Exchange, Household, build, rewire

log = logging.getLogger("guard.daemon")

STOP_WITHIN = 5.0
"""Seconds from SIGTERM to the end, whatever hangs."""
EVENTS_KEPT = 30 * 86400.0
"""Seconds: a month is what an incident's review looks back on."""
PRUNE_EVERY = 6 * 3600.0
CLOCK_STEP = 0.5
"""Seconds by which the wall clock must run away from the monotonic one to count as set."""
CLOCK_WATCH = 0.1
GUARD = "guard "
"""Names of the tasks that step begin so."""


def serve(path: Path) -> int:
    """Run until SIGTERM or SIGINT; the exit code.

    Raises ConfigError where the file is wrong, WorldError where a database must not be guarded from here.
    """
    settings = load(path)
    _leave_no_core()
    lines = logs.begin()
    _say_warnings(settings)
    try:
        return asyncio.run(_Service(path, settings).run())
    finally:
        lines.finish(0.3)


class _Service:
    def __init__(self, path: Path, settings: Settings) -> None:
        self._path = path
        self._settings = settings
        self._stopping = asyncio.Event()
        self._scheduler = AsyncIOScheduler()
        self._household: Household | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._exchanging = asyncio.Lock()
        self._health = Health()
        self._trouble: str | None = None
        """What was told of the journal."""
        self._refused = ""
        """What was told of a reload; the same refusal again and again is one piece of news."""

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        household = self._household = build(self._settings)
        try:
            await self._take_the_lead(household)
            household.outbox.start()
            self._start(household)
            self._health.fits(self._settings)
            self._health.ready(household.watches)
            log.info("guarding %s", ", ".join(watch.name for watch in household.watches))
            await self._until_the_end(household)
        finally:
            code = await self._end(household)
        return code

    async def _take_the_lead(self, household: Household) -> None:
        """Lead every database that can be led. One that cannot be reached is tried again and again by its guard."""
        # All at once: one that does not answer must not keep the others waiting, nor systemd until it gives up.
        refusals = await asyncio.gather(*(_lead(watch) for watch in household.watches))
        refused = [error for error in refusals if error is not None]
        # A standby may be promoted and a schema be installed while the other databases are guarded.
        if len(refused) == len(household.watches):
            raise refused[0]

    def _start(self, household: Household) -> None:
        for watch in household.watches:
            if not watch.ended.is_set():
                self._tasks.append(asyncio.create_task(watch.run(), name=f"{GUARD}{watch.name}"))
                self._keep_up(f"listen {watch.name}", partial(household.listen, watch))
                self._schedule(watch)
        self._scheduler.start()
        self._keep_up("page", partial(household.page.run, self._sight(household)))
        self._keep_up("clock", self._watch_clock)
        self._keep_up("prune", self._prune)

    def _sight(self, household: Household) -> DaemonSight:
        guard, journal = self._settings.guard, household.journal
        return DaemonSight(
            household.watches,
            household.outbox,
            guard_id=guard.id,
            lease=guard.lease,
            journal=journal,
            refused=lambda: self._refused,
        )

    def _keep_up(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.create_task(kept_up(name, work), name=name))

    async def _prune(self) -> None:
        """Cut the trail of events by age, now and then."""
        while True:
            for watch in self._watches():
                with contextlib.suppress(GuardError):
                    await watch.guard.prune(EVENTS_KEPT)
            await asyncio.sleep(PRUNE_EVERY)

    def _schedule(self, watch: Watch) -> None:
        for name in watch.duties:
            self._scheduler.add_job(
                watch.look,
                "interval",
                seconds=watch.pace.poll,
                args=(name,),
                id=f"{watch.name}/{name}",
                max_instances=1,
                coalesce=True,
                misfire_grace_time=None,
                next_run_time=datetime.now(UTC),
                replace_existing=True,
            )

    async def _watch_clock(self) -> None:
        """Keep polling through a step of the wall clock, and tell systemd that every guard judges."""
        offset = time.time() - time.monotonic()
        while True:
            await asyncio.sleep(CLOCK_WATCH)
            now = time.time() - time.monotonic()
            if abs(now - offset) > CLOCK_STEP:
                log.warning("the wall clock was set by %+.1f s", now - offset)
                for job in self._scheduler.get_jobs():
                    job.modify(next_run_time=datetime.now(UTC))
            offset = now
            self._say_journal()
            self._health.report(self._watches())

    def _say_journal(self) -> None:
        """A disk that fails is told once: what is only in memory would be lost with the process."""
        trouble = self._require().journal.trouble
        if trouble != self._trouble:
            self._trouble = trouble
            self._tell(notices.journal_trouble(trouble))

    def _tell(self, draft: notices.Draft) -> None:
        """Tell people what concerns the daemon as a whole, through one guard that can."""
        for watch in self._watches():
            if not watch.ended.is_set():
                watch.guard.tell(draft, time.time())
                return

    def _watches(self) -> tuple[Watch, ...]:
        return self._household.watches if self._household else ()

    async def _until_the_end(self, household: Household) -> None:
        """Wait for a signal, or until no database is left to guard."""
        ends = [asyncio.create_task(watch.ended.wait()) for watch in household.watches]
        stop = asyncio.create_task(self._stopping.wait())
        everything_ended = asyncio.ensure_future(asyncio.wait(ends))
        await asyncio.wait({stop, everything_ended}, return_when=asyncio.FIRST_COMPLETED)
        everything_ended.cancel()
        for task in (stop, *ends):
            task.cancel()

    def _stop(self) -> None:
        # Whatever hangs from now on, the process ends in time: supervisors kill what does not.
        asyncio.get_running_loop().call_later(STOP_WITHIN - 0.3, _exit_at_once)
        systemd.tell(STOPPING="1")
        self._stopping.set()

    async def _end(self, household: Household) -> int:
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        for watch in household.watches:
            watch.leave()
        await household.page.close()
        if guards := [task for task in self._tasks if task.get_name().startswith(GUARD)]:
            await asyncio.wait(guards, timeout=0.5)
        for task in self._tasks:
            task.cancel()
        # A task that does not end must not keep the last word from being said.
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        closing = [watch.close() for watch in household.watches]
        await asyncio.gather(*closing, household.outbox.stop(1.5), return_exceptions=True)
        household.journal.close()
        household.recorder.close()
        fenced = [watch for watch in household.watches if watch.ended.is_set()]
        log.info("stopped")
        return 3 if fenced and len(fenced) == len(household.watches) else 0

    def _reload(self) -> None:
        """Take up the new file; keep the old configuration where the new one is wrong."""
        systemd.tell(RELOADING="1")
        try:
            settings = load(self._path)
            steps = rewire(self._require(), self._settings, settings)
        except (ConfigError, WorldError) as error:
            self._refuse_reload(str(error))
            return
        except Exception as error:
            # Out of memory, say: systemd must not be left with a reload that never ends.
            log.exception("a reload failed in an unforeseen way")
            self._refuse_reload(f"it failed unforeseen: {type(error).__name__}")
            return
        self._settings, self._refused = settings, ""
        for watch, exchange in steps:
            self._tasks.append(asyncio.create_task(self._exchange(watch, exchange)))
        _say_warnings(settings)
        log.info("configuration reloaded")
        self._health.fits(settings)
        self._health.ready(self._watches())

    def _refuse_reload(self, problems: str) -> None:
        for line in problems.splitlines():
            log.error("reload refused: %s", line)
        log.error("the configuration stays as it was")
        if problems != self._refused:
            self._refused = problems
            self._tell(notices.reload_refused(problems))
        self._health.reload_refused(self._watches())

    async def _exchange(self, watch: Watch, exchange: Exchange) -> None:
        # One at a time: a second reload may come while the probes of the first are still being exchanged.
        async with self._exchanging:
            for name in watch.duties:
                if self._scheduler.get_job(f"{watch.name}/{name}"):
                    self._scheduler.remove_job(f"{watch.name}/{name}")
            await exchange()
            if not watch.ended.is_set():
                self._schedule(watch)

    def _require(self) -> Household:
        if self._household is None:
            raise WorldError("The daemon is still starting.")
        return self._household


async def _lead(watch: Watch) -> WorldError | None:
    """Take the lead of one database; why it must not be guarded from here, where that is so."""
    try:
        await watch.guard.lead()
    except ServerError as error:
        log.warning("%s: %s; trying again", watch.name, error)
    except WorldError as error:
        log.critical("%s: %s", watch.name, error)
        if isinstance(error, HeldByAnother):
            watch.ended_because = str(error)
            watch.ended.set()
        return error
    return None


def _leave_no_core() -> None:
    """Our memory holds passwords, and the watchdog ends a daemon that hangs by SIGABRT: no file of it on a disk."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def _say_warnings(settings: Settings) -> None:
    for warning in settings.warnings:
        log.warning("%s", warning)
    for words in problems_of_hooks(settings):
        log.error("%s; a rollback that is due will be told to people and not be run", words)


def _exit_at_once() -> None:
    os._exit(0)
