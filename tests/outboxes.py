"""Outboxes over a real journal, run until a condition holds: what their tests share."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from guard.journal import Journal
from guard.model import Notice, Severity
from guard.tell.outbox import Messenger, Outbox, Patience
from guard.tell.slack import SlackWebhook

IMPATIENT = Patience(first=0.02, longest=0.3)


class FastSlack(SlackWebhook):
    pace = 0.0


@dataclass
class Recorder:
    """A messenger that notes what it is given, and fails as told."""

    name: str = "other"
    pace: float = 0.0
    sent: list[str] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    async def send(self, notice: Notice) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append(notice.notice_id)

    async def close(self) -> None:
        self.name += " closed"


def notices(*numbers: int) -> list[Notice]:
    return [
        Notice(f"main:{n}", 1.0, "main", "m", 1, "paused", Severity.WARNING, f"headline {n}", "because")
        for n in numbers
    ]


def ids(*numbers: int) -> list[str]:
    return [f"main:{n}" for n in numbers]


async def until(condition: Callable[[], object], within: float = 10.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.005)


def deliver(
    journal: Journal,
    *messengers: Messenger,
    until_: Callable[[Outbox], Awaitable[None]],
    patience: Patience = IMPATIENT,
) -> Outbox:
    """Run an outbox over what the journal holds until a condition holds, and then stop it."""

    async def run() -> Outbox:
        outbox = Outbox(journal, *messengers, patience=patience)
        outbox.start()
        try:
            await until_(outbox)
        finally:
            await outbox.stop(within=0.2)
        return outbox

    return asyncio.run(run())


def nothing_waits(journal: Journal, channel: str = "slack") -> Callable[[Outbox], Awaitable[None]]:
    async def wait(_: Outbox) -> None:
        await until(lambda: journal.backlog(channel).waiting == 0)

    return wait
