"""Delivers what the journal says is to be told: in order, at least once, one task a messenger.

It writes no text and knows no service. A notice is in the journal before it is sent and is marked after the answer, so
that a kill between the two sends it twice, with the same id, rather than never.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from guard.errors import TellError
from guard.journal import Backlog, Entry, Journal, Threads
from guard.model import Notice

log = logging.getLogger(__name__)


_STUMBLES = 5
"""So often may a messenger fail with an error that is not its own before a notice is given up."""


class Messenger(Protocol):
    """One way to reach people."""

    name: str
    """The channel under which the journal queues for it."""
    pace: float
    """Seconds from one message to the next."""

    async def send(self, notice: Notice) -> None:
        """Hand the notice over, in bounded time. Raises TellError."""

    async def close(self) -> None: ...


@runtime_checkable
class Lasting(Protocol):
    """A messenger that has something to remember, and to do between two notices."""

    def start(self, memory: Threads) -> None:
        """Begin with it on the running loop, until it is closed."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait before trying again, in seconds: doubling from `first` to `longest`, with jitter.

    A Retry-After counts up to `longest` too: some say hours, and an alert that old helps nobody.
    """

    first: float = 1.0
    longest: float = 60.0

    def wait(self, tries: int, after: float | None) -> float:
        """How long after failure number `tries` (from 1) to wait."""
        if after is not None:
            return min(after, self.longest)
        return min(self.first * 2.0 ** min(tries - 1, 30), self.longest) * random.uniform(0.8, 1.2)  # noqa: S311


@dataclass(frozen=True, slots=True)
class ChannelStatus:
    """How a channel stands, for `status` and for people who wonder why it is silent."""

    backlog: Backlog
    trouble: str | None
    """Why the last attempt failed; None after a success."""


class Outbox:
    """Start it on the running loop, wake it after each save, stop it at the end."""

    def __init__(self, journal: Journal, *messengers: Messenger, patience: Patience | None = None) -> None:
        self._journal = journal
        self._patience = patience or Patience()
        self._lines = [_Line(journal, messenger, self._patience) for messenger in messengers]
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def status(self) -> Mapping[str, ChannelStatus]:
        """By channel."""
        return {
            line.messenger.name: ChannelStatus(self._journal.backlog(line.messenger.name), line.trouble)
            for line in self._lines
        }

    @property
    def troubles(self) -> Mapping[str, str]:
        """Why the last attempt failed, by channel; empty where all is well. Cheap enough for each judgement."""
        return {line.messenger.name: line.trouble for line in self._lines if line.trouble is not None}

    def start(self) -> None:
        """Begin with what was left over from the last time."""
        for line in self._lines:
            if isinstance(line.messenger, Lasting):
                line.messenger.start(self._journal.threads(line.messenger.name))
        self._tasks = [asyncio.create_task(line.run(), name=f"tell {line.messenger.name}") for line in self._lines]

    def wake(self) -> None:
        """There may be something new. Returns at once."""
        for line in self._lines:
            line.woken.set()

    async def stop(self, within: float) -> None:
        """Send what can still be sent within so many seconds; the rest stays in the journal for the next start."""
        for line in self._lines:
            line.finish()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=within)
            for task in late:
                task.cancel()
            await asyncio.wait(self._tasks, timeout=1.0)
        self._tasks = []
        for line in self._lines:
            await line.messenger.close()


class _Line:
    """The queue of one messenger. Strictly in order: when the first cannot be sent, no other is tried."""

    def __init__(self, journal: Journal, messenger: Messenger, patience: Patience) -> None:
        self.messenger = messenger
        self.woken = asyncio.Event()
        self.trouble: str | None = None
        self._journal = journal
        self._patience = patience
        self._finishing = asyncio.Event()
        self._not_before = 0.0

    def finish(self) -> None:
        """Return from `run` as soon as nothing can be sent at once."""
        self._finishing.set()
        self.woken.set()

    async def run(self) -> None:
        """Deliver until told to finish."""
        while True:
            self.woken.clear()
            entries = self._journal.pending(self.messenger.name, limit=1)
            if not entries:
                if self._finishing.is_set():
                    return
                await self.woken.wait()
                continue
            done = await self._turn_comes(entries[0]) and await self._try(entries[0])
            # The last word is said at once or not at all: who asked us to wait would not hear it anyway.
            if not done and self._finishing.is_set():
                return

    async def _turn_comes(self, entry: Entry) -> bool:
        """Wait for pace and patience. False where the end of the daemon cut a forced wait short."""
        # Never longer than our patience, or a clock that was set back would silence us for as long.
        forced = min(entry.next_try_wall - time.time(), self._patience.longest * 1.2)
        wait = max(forced, self._not_before - time.monotonic())
        if wait > 0 and not self._finishing.is_set():
            began = time.monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._finishing.wait()
            forced -= time.monotonic() - began
        return forced <= 0.001

    async def _try(self, entry: Entry) -> bool:
        """Send once and note what came of it. False: it is still to be sent."""
        try:
            await self.messenger.send(entry.notice)
        except TellError as error:
            return self._failed(entry, error)
        except Exception as error:  # noqa: BLE001 -- a notice that a messenger trips over must not hold up the rest
            # It may be the network in a way that nobody wrapped, so a few more tries; or the notice itself, so not for
            # ever. The type only: whatever it tripped over may hold a secret.
            again = entry.tries + 1 < _STUMBLES
            return self._failed(entry, TellError(f"It failed unforeseen ({type(error).__name__}).", again=again))
        finally:
            self._not_before = time.monotonic() + self.messenger.pace
        self.trouble = None
        self._journal.mark_sent(entry, time.time())
        return True

    def _failed(self, entry: Entry, error: TellError) -> bool:
        self.trouble = str(error)
        channel, notice_id = self.messenger.name, entry.notice.notice_id
        if not error.again:
            log.error("%s: notice %s is given up: %s", channel, notice_id, error)
            self._journal.mark_dead(entry, str(error))
            return True
        wait = self._patience.wait(entry.tries + 1, error.after)
        log.warning("%s: notice %s is tried again in %.1f s: %s", channel, notice_id, wait, error)
        self._journal.mark_failed(entry, time.time() + wait)
        return False
