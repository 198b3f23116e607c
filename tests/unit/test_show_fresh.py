"""Nobody waits for what takes long but the first, and even they not for ever."""

from __future__ import annotations

import asyncio
import logging

import pytest

from guard.show import fresh
from guard.show.aside import WAITING, Aside, Busy
from guard.show.fresh import Fresh
from tests.following import until


class Maker:
    """Counts; each value is made once the test says so."""

    def __init__(self) -> None:
        self.made = 0
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def make(self) -> str:
        await self.go.wait()
        if self.error is not None:
            raise self.error
        self.made += 1
        return f"value {self.made}"


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_the_first_is_waited_for_and_afterwards_the_one_before_is_given_while_the_next_is_made() -> None:
    async def work() -> None:
        maker = Maker()
        value = Fresh(maker.make, "none yet", good_for=0.0)
        waiting = asyncio.create_task(value.get())
        await turns()
        assert not waiting.done()
        maker.go.set()
        assert await waiting == "value 1"
        maker.go.clear()
        value.expire()
        assert await value.get() == "value 1"
        assert await value.get() == "value 1"
        maker.go.set()
        await turns()
        assert maker.made == 2, "one at a time, however many ask"
        assert await value.get() == "value 2"
        value.close()

    asyncio.run(work())


def test_a_value_stands_for_its_time_unless_it_expires_or_somebody_wants_a_newer_one() -> None:
    async def work() -> None:
        maker = Maker()
        maker.go.set()
        value = Fresh(maker.make, "none yet", good_for=1000.0)
        assert [await value.get() for _ in range(3)] == ["value 1"] * 3

        async def newer() -> bool:  # not at once: it is not made too often, whoever asks
            return await value.get(newer_than=0.0) == "value 2"

        await until(newer)
        assert await value.get(newer_than=1000.0) == "value 2"
        value.expire()
        await value.get()
        await turns()
        assert await value.get() == "value 3"

    asyncio.run(work())


def test_whoever_wants_a_new_one_again_and_again_does_not_have_it_made_all_the_time() -> None:
    async def work() -> None:
        maker = Maker()
        value = Fresh(maker.make, "none yet", good_for=0.0)
        first = asyncio.create_task(value.get())
        await asyncio.sleep(0.05)  # as long as it takes to make
        maker.go.set()
        assert await first == "value 1"
        assert {await value.get(newer_than=0.0) for _ in range(100)} == {"value 1"}

    asyncio.run(work())


def test_nobody_waits_longer_than_the_patience_for_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "FIRST", 0.01)

    async def work() -> None:
        value = Fresh(Maker().make, "none yet", good_for=0.0)
        assert await value.get() == "none yet"
        value.close()

    asyncio.run(work())


def test_what_fails_leaves_the_value_before_and_is_in_the_log_and_who_is_busy_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work() -> None:
        maker = Maker()
        maker.go.set()
        value = Fresh(maker.make, "none yet", good_for=0.0)
        await value.get()
        for error in (Busy(), ZeroDivisionError("never thought of")):
            maker.error = error
            value.expire()
            await value.get()
            await turns()
            assert await value.get() == "value 1"

    with caplog.at_level(logging.ERROR):
        asyncio.run(work())
    assert set(caplog.messages) == {"what the page shows could not be read"}


def test_a_thread_does_one_piece_after_another_and_turns_away_whom_it_cannot_serve() -> None:
    async def work() -> None:
        aside, order = Aside(), list[int]()
        gate = asyncio.Event()
        loop = asyncio.get_running_loop()

        def first() -> None:
            asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(20)

        begun = asyncio.create_task(aside.do(first))
        await turns()
        pieces = [asyncio.create_task(aside.do(lambda n=n: order.append(n))) for n in range(WAITING + 5)]  # type: ignore[misc]
        await turns()
        refused = [piece for piece in pieces if piece.done()]
        assert 4 <= len(refused) <= 6
        for piece in refused:
            with pytest.raises(Busy):
                piece.result()
        cancelled = next(piece for piece in pieces if not piece.done())
        cancelled.cancel()
        gate.set()
        await begun
        await asyncio.wait(pieces, timeout=20)
        assert order == sorted(order)
        assert 0 not in order, "who has left is not served"
        with pytest.raises(ZeroDivisionError):
            await aside.do(lambda: 1 // 0)
        aside.close()

    asyncio.run(work())
