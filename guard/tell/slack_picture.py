"""A picture at the end of a run, uploaded into its thread: an extra that nobody waits for.

It draws nothing. A picture that cannot be had or uploaded is left out, and the log says why; no notice depends on it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from guard.errors import TellError
from guard.model import Notice
from guard.tell.slack_api import Refusal, SlackApi

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing of one run."""

    png: bytes
    title: str
    """One line."""
    words: str
    """What it shows, for who cannot see it."""


Draw = Callable[[Notice], Awaitable[Picture | None]]
"""Makes the picture of the run that a notice is about; None: there is nothing to be drawn."""


class Pictures:
    """Uploads one at a time, beside what is told."""

    def __init__(self, api: SlackApi, draw: Draw) -> None:
        self._api = api
        self._draw = draw
        self._tasks: set[asyncio.Task[None]] = set()
        self._refused = False

    def of(self, notice: Notice, channel: str, thread: str) -> None:
        """Draw and upload in the background. Returns at once."""
        if not self._refused:
            task = asyncio.create_task(self._bring(notice, channel, thread), name="picture for slack")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Leave what is not done."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _bring(self, notice: Notice, channel: str, thread: str) -> None:
        try:
            picture = await self._draw(notice)
            if picture is not None:
                await self._upload(picture, channel, thread)
        except Refusal as refusal:
            # Most likely the app lacks the scope: it will lack it at the next run too.
            self._refused = refusal.word in {"missing_scope", "not_allowed_token_type"}
            todo = "; add the scope files:write to have pictures" if self._refused else ""
            log.warning("slack: the run has no picture: %s%s", refusal, todo)
        except TellError as error:
            log.warning("slack: the run has no picture: %s", error)
        except Exception as error:  # noqa: BLE001 -- an extra must not end anything
            log.warning("slack: the run has no picture (%s)", type(error).__name__)

    async def _upload(self, picture: Picture, channel: str, thread: str) -> None:
        about = {"filename": "run.png", "length": str(len(picture.png)), "alt_txt": picture.words[:1000]}
        place = await self._api.form("files.getUploadURLExternal", about)
        await self._api.upload(str(place.get("upload_url")), picture.png)
        named = {"id": place.get("file_id"), "title": picture.title}
        done: dict[str, object] = {"files": [named], "channel_id": channel, "thread_ts": thread}
        await self._api.call("files.completeUploadExternal", done)
