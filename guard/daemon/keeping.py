"""Work that must go on for as long as the daemon lives: where it ends, that is said, and it begins again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger("guard.daemon")

AGAIN_AFTER = 1.0
"""Seconds: what fails at once must not be begun as fast as it fails."""


async def kept_up(name: str, work: Callable[[], Awaitable[None]], *, again_after: float = AGAIN_AFTER) -> None:
    """Do *work*, and do it anew when it has ended, until cancelled."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("%s ended in an unforeseen way; it begins again", name)
        await asyncio.sleep(again_after)
