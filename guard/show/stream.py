"""Server-sent events: whoever has a page open is sent the parts of it that have changed.

Nothing is queued. The newest content of each part stands here under a number; a client knows the number up to which
it was sent everything, and gets what is newer once it has taken the last. So one that is slow misses steps, and costs
nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping

from starlette.types import Receive, Scope, Send

log = logging.getLogger(__name__)

CLIENTS = 50
"""Streams at once, of all pages."""
KEEP_ALIVE = 15.0
"""Seconds: what stands between the page and the reader drops lines that are silent for longer, a minute mostly."""
PACE = 0.5
"""Seconds between two looks for the same page at least."""
SELDOM = 5.0
"""Seconds between two looks at most: that nothing happens any more is news too."""
AGAIN = 1000
"""Milliseconds after which a browser tries again."""

Draw = Callable[[], Awaitable[Mapping[str, str]]]
"""Draws the parts of a page, by the ids of their containers."""


class Board:
    """The newest parts of one page."""

    def __init__(self) -> None:
        self.number = 0
        self.clients = 0
        self.moved = asyncio.Event()
        self._parts: dict[str, tuple[int, str, bytes]] = {}

    def put(self, parts: Mapping[str, str]) -> None:
        """Take what has changed; whoever waits is woken."""
        changed = {
            name: html for name, html in parts.items() if name not in self._parts or self._parts[name][1] != html
        }
        if changed:
            self.number += 1
            # Made ready once for all who follow.
            self._parts |= {name: (self.number, html, _event(name, html)) for name, html in changed.items()}
            self.wake()

    def newer(self, than: int) -> list[bytes]:
        """The parts that have changed since, as they are sent."""
        return [event for number, _, event in self._parts.values() if number > than]

    def wake(self) -> None:
        """Have everybody look."""
        moved, self.moved = self.moved, asyncio.Event()
        moved.set()


class Streams:
    """All open streams. `changed` returns when there may be something new, as Sight.changed does."""

    def __init__(self, changed: Callable[[], Awaitable[None]], boot: str) -> None:
        self._changed = changed
        self._boot = boot
        self._boards: dict[str, Board] = {}
        self._drawing: dict[str, asyncio.Task[None]] = {}
        self.closing = False

    @property
    def full(self) -> bool:
        """Whether nobody more can be served."""
        return self.closing or sum(board.clients for board in self._boards.values()) >= CLIENTS

    def close(self) -> None:
        """End every stream in words that have the browser come again."""
        self.closing = True
        for task in self._drawing.values():
            task.cancel()
        for board in self._boards.values():
            board.wake()

    async def serve(self, page: str, draw: Draw, receive: Receive, send: Send) -> None:
        """Send *page* to one client until it leaves, or all is closed."""
        board = self._boards.setdefault(page, Board())
        board.clients += 1
        if page not in self._drawing:
            self._drawing[page] = asyncio.create_task(self._keep_drawn(board, draw), name=f"page {page}")
        gone = asyncio.create_task(_until_gone(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await _say(send, f"retry: {AGAIN}\nevent: boot\ndata: {json.dumps(self._boot)}\n\n".encode())
            await self._feed(board, send, gone)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            board.clients -= 1
            if not board.clients:
                self._boards.pop(page, None)
                if task := self._drawing.pop(page, None):
                    task.cancel()

    async def _feed(self, board: Board, send: Send, gone: asyncio.Task[None]) -> None:
        sent = 0
        while not self.closing and not gone.done():
            moved, newest, parts = board.moved, board.number, board.newer(sent)
            for part in parts:
                await _say(send, part)
                await asyncio.sleep(0)  # a step of the guard waits for one part of each follower, and not for all
            # As of before the wait for a slow client: what has come meanwhile is sent next.
            sent = newest
            if moved.is_set():
                continue
            waiting = asyncio.create_task(moved.wait())
            try:
                done, _ = await asyncio.wait({waiting, gone}, timeout=KEEP_ALIVE, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
            if not done:
                await _say(send, b": still here\n\n")

    async def _keep_drawn(self, board: Board, draw: Draw) -> None:
        while True:
            # Asked before it is drawn: what happens while it is drawn is drawn next.
            changed = asyncio.ensure_future(self._changed())
            try:
                board.put(await draw())
                await asyncio.sleep(PACE)
                await asyncio.wait({changed}, timeout=SELDOM)
            except Exception:
                log.exception("a page that is followed could not be drawn anew")
                await asyncio.sleep(SELDOM)
            finally:
                changed.cancel()


_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]


def _event(name: str, html: str) -> bytes:
    return f"event: part\ndata: {json.dumps({'id': name, 'html': html})}\n\n".encode()


async def _say(send: Send, text: bytes) -> None:
    await send({"type": "http.response.body", "body": text, "more_body": True})


async def _until_gone(receive: Receive) -> None:
    with contextlib.suppress(Exception):
        while (await receive())["type"] != "http.disconnect":
            pass


class Endpoint:
    """An ASGI application of one method, for routes that stream."""

    def __init__(self, work: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._work(scope, receive, send)
