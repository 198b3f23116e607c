"""Whoever comes in the very moment in which the page closes is cut off and not left to wait."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket

import pytest
from starlette.responses import PlainTextResponse

from guard.show.serving import Doorway, Place


@pytest.mark.parametrize("rounds", range(5))
def test_a_client_that_comes_while_the_page_closes_is_answered_or_cut_off(rounds: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        place = Place("127.0.0.1", free.getsockname()[1])

    async def come_and_close() -> bytes:
        doorway = Doorway(PlainTextResponse("here"), place)
        await doorway.open()
        with socket.create_connection((place.host, place.port), timeout=5) as client:
            client.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
            for _ in range(rounds):  # so far the loop gets with it
                await asyncio.sleep(0)
            await doorway.close()
            with contextlib.suppress(ConnectionResetError):
                return await asyncio.to_thread(client.recv, 15)
        return b""

    gc.disable()  # it would close sooner or later what nobody knows of any more
    try:
        assert asyncio.run(come_and_close()) in {b"", b"HTTP/1.1 200 OK"}
    finally:
        gc.enable()
