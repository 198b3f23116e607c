"""Work of the daemon that ends in an unforeseen way is said and begun again."""

from __future__ import annotations

import asyncio
import logging

import pytest

from guard.daemon.keeping import kept_up


def test_work_that_fails_or_simply_ends_is_begun_again_and_each_failure_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun <= 2:
            raise MemoryError
        if begun == 4:
            going.set()
            await asyncio.Event().wait()

    async def run() -> None:
        task = asyncio.create_task(kept_up("prune", work, again_after=0.0))
        await asyncio.wait_for(going.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    going = asyncio.Event()
    asyncio.run(run())
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert said == ["prune ended in an unforeseen way; it begins again"] * 2
