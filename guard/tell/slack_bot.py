"""Slack by a bot token: one message a run, edited to how it stands now, with every notice as a reply in its thread.

It sends once and says what came of it; whether and when to try again is the outbox's business. Only the edits are its
own: they show what is already told, so the newest wins, and one that fails is tried again here. A kill between a
message and the note of where it stands leaves a second parent at most; no notice is lost by it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from guard.errors import TellError
from guard.model import Notice, Severity
from guard.tell.slack_api import ELSEWHERE, GONE, Refusal, SlackApi
from guard.tell.slack_blocks import Json, blocks
from guard.tell.slack_parent import fold, shown
from guard.tell.slack_picture import Draw, Pictures
from guard.tell.slack_thread import Memory, Parent, is_another, parent_of

log = logging.getLogger(__name__)

EDIT_EVERY: Final = 5.0
"""Seconds from one edit of a message to its next."""
BETWEEN_EDITS: Final = 1.5
"""Seconds from one edit to the next of any message: Slack allows about 50 a minute."""
_AGAIN: Final = 60.0
"""Seconds until an edit is tried again for which Slack named no time."""
_LAST_EDIT: Final = 1.0
"""Seconds that the end of the daemon may take for edits."""
_NEVER: Final = float("inf")


class SlackBot:
    """A thread a run. Notices of no run are messages of their own."""

    name = "slack"
    pace = 1.0
    """Seconds between messages in a channel: Slack allows one a second, and may disable an app that insists."""
    edit_every = EDIT_EVERY
    between_edits = BETWEEN_EDITS
    most = 200
    """So many parents are remembered; the oldest run that speaks again after that gets a new thread."""

    def __init__(self, api: SlackApi, channel: str) -> None:
        """`channel`: its id, or its name where the bot may know it."""
        self._api = api
        self._channel = channel
        self._memory: Memory | None = None
        self._parents: dict[str, Parent] = {}
        self._lock = asyncio.Lock()
        """Held by whoever posts: two would begin two threads of one run."""
        self._post_at = 0.0
        self._edit_at = 0.0
        self._changed = asyncio.Event()
        self._editor: asyncio.Task[None] | None = None
        self._pictures: Pictures | None = None

    def __repr__(self) -> str:
        return f"SlackBot(channel={self._channel!r}, token hidden)"

    def start(self, memory: Memory) -> None:
        """Go on with the threads that are remembered, and bring their parents up to date; needs a running loop.

        Who tells one thing and ends need not call it.
        """
        self._memory = memory
        self._parents = self._remembered(memory)
        self._editor = asyncio.create_task(self._edit_for_ever(), name="edit slack")

    def illustrate(self, draw: Draw) -> None:
        """Have a picture in the thread of each run that ends, from now on."""
        self._pictures = Pictures(self._api, draw)

    async def send(self, notice: Notice) -> None:
        """Post the notice. Raises TellError; after a timeout the message may have arrived all the same."""
        if notice.run_id is None:
            async with self._lock:
                await self._post(self._channel, blocks(notice))
            return
        async with self._lock:
            await self._send(f"{notice.database}/{notice.run_id}", notice)

    async def knock(self) -> str:
        """Ask whether the token is valid, and have nothing shown; as whom Slack knows it. Raises TellError."""
        said = await self._api.call("auth.test", {})
        return f"{said.get('user', 'a bot')} in {said.get('team', 'a workspace')}"

    async def close(self) -> None:
        """Bring parents up to date once more, if that goes at once, and close the connections."""
        if self._editor is not None:
            self._editor.cancel()
            await asyncio.wait([self._editor])
            self._editor = None
            try:
                async with asyncio.timeout(_LAST_EDIT):
                    for key in [key for key, parent in self._parents.items() if parent.dirty and parent.ts]:
                        await self._edit(key)
            except TimeoutError:
                pass  # what is not shown yet is kept as such
        if self._pictures is not None:
            await self._pictures.stop()
        await self._api.close()

    # -- messages ------------------------------------------------------------------------------------------------------

    async def _send(self, key: str, notice: Notice) -> None:
        parent = self._taken_up(key, notice)
        fresh = not parent.ts
        if fresh:
            await self._post_parent(key, parent)
        try:
            await self._reply(parent, notice, surfaces=not fresh)
        except Refusal as refusal:
            if refusal.word not in GONE | ELSEWHERE:
                raise
            log.warning("slack: the thread of %s cannot be gone on with (%s); a new one is begun", key, refusal.word)
            parent.ts = ""
            await self._post_parent(key, parent)
            await self._reply(parent, notice, surfaces=False)
        if self._pictures is not None and parent.summary.digest and not parent.pictured:
            parent.pictured = True
            self._keep(key, parent)
            self._pictures.of(notice, parent.channel, parent.ts)

    def _taken_up(self, key: str, notice: Notice) -> Parent:
        """The parent of a run, with the notice in its summary; what is not shown yet is kept as such."""
        parent = self._parents.get(key)
        if parent is None or is_another(parent.summary, notice):
            parent = Parent(fold(None, notice), self._channel)
            self._parents[key] = parent
            while len(self._parents) > self.most:
                del self._parents[next(iter(self._parents))]
            return parent
        if parent.asked != self._channel:
            parent.asked, parent.ts = self._channel, ""
        summary = fold(parent.summary, notice)
        if summary is not parent.summary:
            parent.summary, parent.dirty = summary, True
            parent.edit_at = 0.0 if parent.edit_at == _NEVER else parent.edit_at
            self._keep(key, parent)
            self._changed.set()
        return parent

    async def _post_parent(self, key: str, parent: Parent) -> None:
        summary = parent.summary
        said = await self._post(self._channel, blocks(shown(summary)))
        parent.channel, parent.ts = said
        parent.dirty = parent.summary is not summary
        parent.edit_at = time.monotonic() + self.edit_every
        self._keep(key, parent)

    async def _reply(self, parent: Parent, notice: Notice, *, surfaces: bool) -> None:
        """`surfaces`: it may be shown in the channel too, since the parent is not new there."""
        shows = surfaces and notice.severity is Severity.CRITICAL
        more: Json = {"thread_ts": parent.ts} | ({"reply_broadcast": True} if shows else {})
        await self._post(parent.channel, blocks(notice) | more)

    async def _post(self, channel: str, payload: Json) -> tuple[str, str]:
        """Post at our pace; the id of the channel and the message's name. Raises TellError."""
        await asyncio.sleep(max(0.0, self._post_at - time.monotonic()))
        try:
            said = await self._api.call("chat.postMessage", {"channel": channel, **payload})
        finally:
            self._post_at = time.monotonic() + self.pace
        if not isinstance(said.get("ts"), str) or not isinstance(said.get("channel"), str):
            raise TellError("Slack took the message and did not say where it stands.", again=True)
        return said["channel"], said["ts"]

    # -- edits ---------------------------------------------------------------------------------------------------------

    async def _edit_for_ever(self) -> None:
        while True:
            self._changed.clear()
            due = min(((p.edit_at, key) for key, p in self._parents.items() if p.dirty and p.ts), default=(_NEVER, ""))
            wait = max(due[0], self._edit_at) - time.monotonic()
            if wait <= 0:
                await self._edit(due[1])
                continue
            try:
                async with asyncio.timeout(None if wait == _NEVER else wait):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _edit(self, key: str) -> None:
        """Show the newest. Raises nothing: what fails is tried again, or waits for the next notice."""
        parent = self._parents[key]
        summary, ts = parent.summary, parent.ts
        try:
            message = blocks(shown(summary))
            change: Json = {"channel": parent.channel, "ts": ts, "text": message["text"], "blocks": message["blocks"]}
            await self._api.call("chat.update", change)
        except Refusal as refusal:
            parent.edit_at = time.monotonic() + self.edit_every
            await self._refused(key, parent, ts, refusal)
            return
        except TellError as error:
            log.warning("slack: the message of %s is edited later: %s", key, error)
            parent.edit_at = time.monotonic() + min(_AGAIN, max(self.edit_every, error.after or 0.0))
            return
        except Exception as error:  # noqa: BLE001 -- an edit that it trips over must not end all others
            # The type only: whatever it tripped over may hold the token.
            log.error("slack: the message of %s cannot be edited (%s)", key, type(error).__name__)  # noqa: TRY400
            parent.edit_at = _NEVER
            return
        finally:
            self._edit_at = time.monotonic() + self.between_edits
        parent.edit_at = time.monotonic() + self.edit_every
        parent.dirty = parent.summary is not summary
        self._keep(key, parent)

    async def _refused(self, key: str, parent: Parent, ts: str, refusal: Refusal) -> None:
        """An edit was refused: where a fresh message helps it is posted, else nothing does before the next notice."""
        if refusal.word not in GONE | ELSEWHERE:
            log.error("slack: the message of %s stays as it is: %s", key, refusal)
            parent.edit_at = _NEVER
            return
        log.warning("slack: the message of %s cannot be edited (%s); a fresh one is posted", key, refusal.word)
        async with self._lock:
            if parent.ts != ts:
                return  # a notice has begun a new thread meanwhile
            parent.ts = ""
            try:
                await self._post_parent(key, parent)
            except TellError as error:
                log.warning("slack: a fresh message of %s is posted with its next notice: %s", key, error)
                self._keep(key, parent)

    # -- what outlives a kill ------------------------------------------------------------------------------------------

    def _keep(self, key: str, parent: Parent) -> None:
        if self._memory is not None:
            self._memory.keep(key, parent.summary.newest.at_wall, parent.record())

    def _remembered(self, memory: Memory) -> dict[str, Parent]:
        found = {}
        for key, record in memory.all().items():
            try:
                parent = parent_of(record)
            except ValueError:
                continue  # its run gets a new thread
            parent.edit_at = time.monotonic() + self.edit_every
            found[key] = parent
        return found
