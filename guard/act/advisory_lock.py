"""The pause as an advisory lock, for migrations that ask by lock: while it is held no batch of theirs is in flight.

It says nothing about the lease and decides nothing. The lock is asked for *blocking*: who only tries again and again
starves beside workers that take it shared for each batch, while a waiting exclusive request makes the next shared
`try` fail at once. A blocking wait holds back the server's xmin, so each wait is bounded, with a rest between two.
"""

from __future__ import annotations

import asyncio
import contextlib

from guard import sql
from guard.errors import QueryFailed, ServerError
from guard.postgres import Door

_CHECK_EVERY = 1.0
_REST = 1.0
_CLOSE_WITHIN = 2.0
_LOCK_NOT_AVAILABLE = "55P03"


class AdvisoryGate:
    """Holds the locks of the names that are to stand still; implements guard.ports.PauseGate.

    *batch_limit* is how long one batch may take, in seconds; a wait for a lock lasts at most twice that. *door* must be
    the gate's own (purpose ``gate``): one task asks on it, and a wait makes it busy.
    """

    def __init__(self, door: Door, batch_limit: float = 10.0) -> None:
        self._door = door
        self._lock_timeout = 2 * batch_limit
        self._wanted: frozenset[str] = frozenset()
        self._held: frozenset[str] = frozenset()
        self._generation = -1
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.last_trouble = ""
        """Why a wanted lock was not had when it was asked for last, in words; empty when all is well."""

    def want(self, names: frozenset[str]) -> None:
        """Hold the locks of exactly these names, as soon as can be. Needs the running loop; returns at once."""
        if names == self._wanted:
            return
        self._wanted = names
        self._changed.set()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep(), name="advisory gate")

    @property
    def held(self) -> frozenset[str]:
        """Names whose lock is had, as the server said at most about a second ago."""
        return self._held & self._wanted if self._door.connected else frozenset()

    async def close(self) -> None:
        """Give all locks back, within 2 s: the session ends, and its locks with it."""
        self._wanted, task = frozenset(), self._task
        if task is not None:
            task.cancel()
            await asyncio.wait({task}, timeout=_CLOSE_WITHIN)
        self._held, self._task = frozenset(), None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_WITHIN):
                await self._door.close()

    # -- the one task --------------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        while True:
            self._changed.clear()
            try:
                await self._agree()
                self.last_trouble = ""
            except ServerError as error:
                self.last_trouble = str(error)
                if not self._door.connected:
                    self._held = frozenset()
            # Nothing wanted and nothing held: nothing to look after until somebody wants again.
            rest = None if not self._wanted and not self._held else _REST if self._wanted - self._held else _CHECK_EVERY
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(rest):
                    await self._changed.wait()

    async def _agree(self) -> None:
        """Make what is held agree with what is wanted, as far as one round goes."""
        if not self._wanted and not self._door.connected:
            self._held = frozenset()
            return
        await self._see_what_is_held()
        for name in sorted(self._held - self._wanted):
            await self._door.fetch(sql.get("gate_unlock"), {"name": name})
            self._held -= {name}
        late: ServerError | None = None
        for name in sorted(self._wanted - self._held):
            if name not in self._wanted:
                continue
            try:
                await self._ask(name)
            except QueryFailed as error:
                if error.sqlstate != _LOCK_NOT_AVAILABLE:
                    raise
                # The others are asked for all the same: one long batch must not keep them running.
                late = error
        if late is not None:
            raise late

    async def _see_what_is_held(self) -> None:
        names = sorted(self._held | self._wanted)
        await self._prepare()
        rows = await self._door.fetch(sql.get("gate_held"), {"names": names})
        self._held = frozenset(row[0] for row in rows)

    async def _prepare(self) -> None:
        if self._door.connected and self._door.generation == self._generation:
            return
        self._held = frozenset()
        await self._door.fetch(sql.get("gate_session"), {"lock_timeout": f"{round(self._lock_timeout * 1000)}ms"})
        self._generation = self._door.generation

    async def _ask(self, name: str) -> None:
        """Wait for the lock in the queue; where the name is no longer wanted meanwhile, leave the queue at once."""
        await self._prepare()
        generation, wanted = self._generation, self._wanted
        waiting = asyncio.ensure_future(
            self._door.fetch(sql.get("gate_lock"), {"name": name}, deadline=self._lock_timeout + 2.0)
        )
        try:
            while not waiting.done():
                self._changed.clear()
                changed = asyncio.ensure_future(self._changed.wait())
                try:
                    await asyncio.wait({waiting, changed}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    changed.cancel()
                if not waiting.done() and (name not in self._wanted or self._held - self._wanted):
                    # The driver's connection is busy with the wait, so nothing can be unlocked on it: it is given up.
                    # The server sees that within client_connection_check_interval.
                    return
            waiting.result()
            if self._door.generation == generation:
                self._held |= {name}
            else:
                self._held = frozenset()
        finally:
            if not waiting.done():
                waiting.cancel()
                await asyncio.wait({waiting})
                self._held = frozenset()
            if self._wanted != wanted:
                self._changed.set()
