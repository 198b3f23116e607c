"""Standbys that are asked themselves, for those that the primary does not show: behind another one, or in a service.

Each is asked on a connection of its own, beside the question to the primary, which never waits long for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from guard import sql
from guard.errors import GuardError
from guard.poll.lag import FLUSH, WRITE
from guard.postgres import Door

log = logging.getLogger(__name__)

PATIENCE = 0.5
"""Seconds that a standby has for its answer, or as long as the primary takes for its own where that is longer."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a standby says of itself; positions in bytes."""

    in_recovery: bool
    system: int
    timeline: int
    replay_lsn: int | None
    flush_lsn: int | None
    write_lsn: int | None
    receiver: str | None
    """State of its WAL receiver; None where it has none, or where the guard's role may not see it."""
    paused: bool

    def flaw(self, name: str, system: int, timeline: int) -> str:
        """Why it is no standby of the primary of this *system* and *timeline*; empty where it is one."""
        if self.system != system:
            return f"{name} belongs to another cluster (system identifier {self.system}, the primary's is {system})"
        if not self.in_recovery:
            return f"{name} is no standby any more: the server of its dsn is a primary, on timeline {self.timeline}"
        if self.timeline != timeline:
            return f"{name} follows timeline {self.timeline}, and the primary is on timeline {timeline}"
        return ""

    @property
    def streams(self) -> bool:
        """Whether it gets WAL by streaming, and replays."""
        return self.receiver == "streaming" and self.replay_lsn is not None

    def position(self, of: str) -> int | None:
        """How far it has come in what a metric measures; what was replayed has been written and flushed."""
        known = {WRITE: (self.write_lsn, self.flush_lsn), FLUSH: (self.flush_lsn,)}.get(of, ())
        return max((lsn for lsn in (self.replay_lsn, *known) if lsn is not None), default=None)

    @property
    def note(self) -> str:
        """What people should know of it."""
        receiver = "no WAL receiver" if self.receiver is None else f"WAL receiver {self.receiver}"
        parts = ["replay is paused" if self.paused else "", "" if self.receiver == "streaming" else receiver]
        return ", ".join(["asked itself", *filter(None, parts)])


async def ask(door: Door) -> Said:
    """One question. Raises ServerError, WrongServer."""
    (said,) = await door.fetch_as(Said, sql.get("poll_standby"))
    return said


class Aside:
    """Asks standbys by *doors*, which are made when first needed: a credential that is missing is then a reason."""

    def __init__(self, doors: Mapping[str, Callable[[], Door]]) -> None:
        self._make = dict(doors)
        self._doors: dict[str, Door] = {}
        self._asking: dict[str, asyncio.Task[Said | str]] = {}
        self._late: set[str] = set()
        """Still busy with the question of an earlier poll, whose answer would be too old."""
        self._mute: dict[str, str] = {}
        """Those that did not answer in time, and are not waited for until they do: why."""
        self._begun = 0.0

    def __bool__(self) -> bool:
        return bool(self._make)

    def begin(self) -> None:
        """Ask each that is not still busy with the question before."""
        self._begun = time.monotonic()
        for name in self._make:
            before = self._asking.get(name)
            if before is not None and not before.done():
                self._late.add(name)
                continue
            self._late.discard(name)
            if before is not None and isinstance(before.result(), Said):
                self._mute.pop(name, None)
            self._asking[name] = asyncio.create_task(self._ask(name), name=f"standby {name}")

    async def answers(self) -> dict[str, Said | str]:
        """What each has said to the question of this poll, or why it has not."""
        waited = {task for name, task in self._asking.items() if name not in self._mute and name not in self._late}
        if waited:
            await asyncio.wait(waited, timeout=max(0.0, self._begun + PATIENCE - time.monotonic()))
        return {name: self._answer(name, task) for name, task in self._asking.items()}

    def _answer(self, name: str, task: asyncio.Task[Said | str]) -> Said | str:
        if name in self._late or not task.done():
            return self._mute.setdefault(name, f"{name} does not answer within {PATIENCE:g} s")
        answer = task.result()
        if isinstance(answer, str) and name in self._mute:
            self._mute[name] = answer
        return answer

    async def _ask(self, name: str) -> Said | str:
        """Never raises, but for a cancel."""
        try:
            if name not in self._doors:
                self._doors[name] = self._make[name]()
            await self._doors[name].connect(at_once=False)
            return await ask(self._doors[name])
        except GuardError as error:
            return f"{name}: {str(error).removeprefix('standby: ')}"
        except Exception as error:
            # A server that answers rubbish must not keep the others' lag from being known.
            log.exception("standby %s failed in an unforeseen way", name)
            return f"{name}: it failed: {type(error).__name__}"

    async def close(self) -> None:
        """Let go of the connections."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._asking.clear()
        await asyncio.gather(*(door.close() for door in self._doors.values()))
