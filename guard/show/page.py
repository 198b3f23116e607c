"""The page for as long as the daemon lives: listens where it is told, and tries again where it cannot.

A guard without its page guards all the same, so nothing here raises; `trouble` says what is wrong. The libraries are
imported by those alone who have a page.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from guard.errors import WorldError
from guard.ports import PAGE
from guard.show.sight import Sight

if TYPE_CHECKING:
    from guard.show.app import Desk
    from guard.show.serving import Doorway, Place

log = logging.getLogger(__name__)

AGAIN_AFTER = 15.0
"""Seconds until a place that cannot be listened at is tried again."""
SHORTEST_TOKEN = 16
"""Characters: a shorter one can be guessed."""
_LOCAL = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants of the page."""

    host: str = "127.0.0.1"
    port: int = 8788
    path: Path | None = None
    """Of a Unix socket, instead of an address."""
    _: KW_ONLY
    hosts: tuple[str, ...] = ()
    """Names beside the address's own that may stand in `Host`."""
    token: Callable[[], str] | None = None
    """Looks it up; raises WorldError."""
    tls: tuple[Path, Path] | None = None
    """Certificate and key."""

    @property
    def names(self) -> tuple[str, ...]:
        """All that may stand in `Host`, without a port."""
        own = f"[{self.host}]" if ":" in self.host else self.host
        return (*_LOCAL, own, *self.hosts)


class Page:
    """One for a daemon; `run` it as a task, `want` what is in force, and `close` it at the end."""

    def __init__(self, tape: Path, *, again_after: float = AGAIN_AFTER) -> None:
        self.trouble = ""
        """Why nobody can look although somebody wants it; empty where all is well."""
        self._tape, self._again_after = tape, again_after
        self._wish: Wish | None = None
        self._wanted = asyncio.Event()
        self._open: tuple[Doorway, Desk] | None = None

    @property
    def troubles(self) -> Mapping[str, str]:
        """As guards tell of it: its trouble under its name, or nothing."""
        return {PAGE: self.trouble} if self.trouble else {}

    def want(self, wish: Wish | None) -> None:
        """From now on this, or no page; credentials and certificates are read anew, so that renewed ones count."""
        self._wish = wish
        self._wanted.set()

    async def run(self, sight: Sight) -> None:
        """Do as is wanted, until cancelled."""
        while True:
            self._wanted.clear()
            await self.close()
            await self._try(sight)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._again_after if self.trouble else None):
                    await self._wanted.wait()

    async def close(self) -> None:
        """Cut every connection and listen no more; within a second."""
        opened, self._open = self._open, None
        if opened is None:
            return
        doorway, desk = opened
        try:
            desk.close()
            await asyncio.sleep(0.05)  # streams say goodbye, so that browsers come again at once
            await doorway.close()
        except Exception:
            # Whoever closes it has a last word to say to migrations next.
            log.exception("the status page could not be closed in order")

    async def _try(self, sight: Sight) -> None:
        wish, trouble = self._wish, ""
        if wish is not None:
            try:
                await self._listen(wish, sight)
            except WorldError as error:
                trouble = str(error)
            except Exception as error:
                log.exception("the status page failed in an unforeseen way")
                trouble = f"It failed unforeseen ({type(error).__name__})."
        if trouble and trouble != self.trouble:
            log.error("the status page: %s It is tried again; the guard goes on without it", trouble)
        self.trouble = trouble

    async def _listen(self, wish: Wish, sight: Sight) -> None:
        from guard.show.app import create
        from guard.show.serving import Doorway, context

        token = look_up(wish)
        tls = None if wish.tls is None else context(*wish.tls)
        app, desk = create(sight, self._tape, names=wish.names, token=token)
        place = place_of(wish)
        doorway = Doorway(app, place, tls)
        try:
            await doorway.open()
        except BaseException:
            desk.close()
            raise
        self._open = doorway, desk
        log.info("the status page is at %s", place.words)


def place_of(wish: Wish) -> Place:
    """Where to listen."""
    from guard.show.serving import Place

    return Place(path=wish.path) if wish.path is not None else Place(wish.host, wish.port)


def look_up(wish: Wish) -> str | None:
    """The token, where one is wanted. Raises WorldError."""
    token = None if wish.token is None else wish.token()
    if token is not None and len(token) < SHORTEST_TOKEN:
        raise WorldError(f"The page's token has less than {SHORTEST_TOKEN} characters; openssl rand -hex 24 makes one.")
    return token
