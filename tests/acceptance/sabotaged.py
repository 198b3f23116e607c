"""The real daemon with something broken in it: a probe that raises, an event loop that stands still.

``python sabotaged.py DIRECTORY serve -c FILE``: what is to go wrong is said by files in DIRECTORY while it runs.
*raise*: the probes of HTTP rules fail in a way that nobody foresaw. *block*: a callback holds the loop for as many
seconds as the file says, once.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from guard.cli import main
from guard.daemon.service import _Service
from guard.poll.http import HttpProbe
from guard.ports import Observation


def sabotage(directory: Path) -> None:
    """Break the probe and the loop of the daemon that is about to start."""
    poll, run = HttpProbe.poll, _Service.run

    async def broken(self: HttpProbe) -> Observation:
        if (directory / "raise").exists():
            raise ZeroDivisionError("never thought of")
        return await poll(self)

    async def beside(self: Any) -> int:
        blocking = asyncio.create_task(_block(directory / "block"))
        try:
            return await run(self)
        finally:
            blocking.cancel()

    HttpProbe.poll, _Service.run = broken, beside  # type: ignore[method-assign]


async def _block(wanted: Path) -> None:
    while True:
        await asyncio.sleep(0.01)
        _hold(wanted)


def _hold(wanted: Path) -> None:
    if wanted.exists():
        seconds = float(wanted.read_text())
        wanted.unlink()
        time.sleep(seconds)


if __name__ == "__main__":
    sabotage(Path(sys.argv.pop(1)))
    main()
