"""alert --test: does a message get through? alert --died: the guard itself has died (guard.cli.died)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from guard.cli.where import Config, settings_of
from guard.errors import WorldError


def alert(
    test: Annotated[bool, typer.Option("--test", help="Send one message that says it is a test.")] = False,
    died: Annotated[
        str | None,
        typer.Option(
            "--died", metavar="UNIT", help="Say that this unit of systemd has died; its failure unit calls it."
        ),
    ] = None,
    config: Config = None,
) -> None:
    """Send a test message to Slack, as the guard would send an alert."""
    if died is not None:
        _say_died(died)
        return
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


def _say_died(instance: str) -> None:
    import asyncio

    from guard.cli.died import death_of, notice_of, state, tell

    shown = state()
    notice = notice_of(death_of(instance, shown), shown)
    typer.echo(f"{notice.headline}: {notice.because}. {notice.next_step}")
    asyncio.run(tell(notice))


COMMANDS: dict[str, Callable[..., Any]] = {"alert": alert}
