"""A bot before a server in Slack's place, and how its threads are read: what their tests share."""

import dataclasses
from collections.abc import Awaitable, Callable

from guard.journal import Journal
from guard.model import Notice, Severity
from guard.tell.outbox import Outbox
from guard.tell.slack_api import SlackApi
from guard.tell.slack_bot import SlackBot
from tests.outboxes import nothing_waits, until
from tests.slack_server import SlackServer
from tests.slack_workspace import TOKEN, Message

RUN = {"paused": Severity.WARNING, "aborted": Severity.CRITICAL, "check_failed": Severity.CRITICAL}


def a_bot(slack: SlackServer, *, token: str = TOKEN, channel: str = "#guard", timeout: float = 10.0) -> SlackBot:
    """One that is quick; *timeout* is for servers that never answer: what is late on a busy machine comes twice."""
    bot = SlackBot(SlackApi(token, api=slack.api, timeout=timeout), channel)
    bot.pace = bot.between_edits = 0.0
    bot.edit_every = 0.1
    return bot


def a_notice(number: int, kind: str, run_id: int | None = 4, **changes: object) -> Notice:
    severity = RUN.get(kind, Severity.INFO)
    at = 1_700_000_000.0 + number
    made = Notice(f"main:{number}", at, "main", "add-email", run_id, kind, severity, f"add-email {kind}", f"why {kind}")
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def told(journal: Journal, slack: SlackServer) -> Callable[[Outbox], Awaitable[None]]:
    """Until nothing waits and each parent shows the newest of its run."""

    def shown(parent: Message) -> bool:
        replies = slack.workspace.replies(parent)
        return not replies or replies[-1].payload["text"].split("[")[1] in parent.payload["text"]

    async def wait(outbox: Outbox) -> None:
        await nothing_waits(journal)(outbox)
        await until(lambda: all(map(shown, slack.workspace.parents)))

    return wait


def in_thread(slack: SlackServer, parent: Message) -> list[str]:
    return [reply.payload["text"].split("[")[1].removesuffix("]") for reply in slack.workspace.replies(parent)]
