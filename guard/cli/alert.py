"""alert --test: does a message get through?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from guard.cli.where import Config, settings_of
from guard.errors import WorldError


def alert(
    test: Annotated[bool, typer.Option("--test", help="Send one message that says it is a test.")] = False,
    config: Config = None,
) -> None:
    """Send a test message to Slack, as the guard would send an alert."""
    if not test:
        raise typer.BadParameter("there is only --test: the guard sends the real ones")
    import asyncio
    import time
    import uuid

    from guard.model import Notice, Severity
    from guard.tell.slack import SlackWebhook

    settings = settings_of(config)
    if settings.slack is None:
        raise WorldError(f"{settings.path} has no [slack], so there is nobody to send a message to.")
    notice = Notice(
        notice_id=f"test-{uuid.uuid4().hex}",
        at_wall=time.time(),
        database=", ".join(database.name for database in settings.databases),
        migration="none",
        run_id=None,
        kind="test",
        severity=Severity.INFO,
        headline="A test of migration-guard: alerts arrive here",
        because=f"somebody ran migration-guard alert --test on {settings.guard.id}",
    )
    webhook = SlackWebhook(settings.slack.webhook.reveal())

    async def send() -> None:
        try:
            await webhook.send(notice)
        finally:
            await webhook.close()

    asyncio.run(send())
    typer.echo("The test message was sent.")


COMMANDS: dict[str, Callable[..., Any]] = {"alert": alert}
