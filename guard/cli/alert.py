"""alert --test: does a message get through? alert --died: the guard itself has died (guard.cli.died)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guard.cli.where import DEFAULT, Config, settings_of
from guard.errors import GuardError, TellError, WorldError

if TYPE_CHECKING:
    from guard.model import Notice
    from guard.settings import Settings


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
    """Send a test message on every channel, as the guard would send an alert, and say of each what came of it."""
    if died is not None:
        _say_died(died, config)
        return
    if not test:
        raise typer.BadParameter("there is only --test: the guard sends the real ones")
    import asyncio

    settings = settings_of(config)
    came = asyncio.run(_try_each(settings, _notice(settings)))
    if not came:
        raise WorldError(
            f"{settings.path} has neither [slack] nor [[channel]], so there is nobody to send a message to."
        )
    for name, problem in came.items():
        typer.echo(f"{name}: {problem or 'the test message was sent'}", err=problem is not None)
    if failed := [problem for problem in came.values() if problem is not None]:
        raise TellError(f"{len(failed)} of {len(came)} did not get through.", again=False)


def _notice(settings: Settings) -> Notice:
    import time
    import uuid

    from guard.model import Notice, Severity

    return Notice(
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


async def _try_each(settings: Settings, notice: Notice) -> dict[str, GuardError | None]:
    """What came of it, by channel: each is told, whatever it is for."""
    from guard.channels import messenger, names

    came: dict[str, GuardError | None] = {}
    for name in names(settings):
        try:
            sender = messenger(settings, name)
            try:
                await sender.send(notice)
            finally:
                await sender.close()
        except (TellError, WorldError) as wrong:
            came[name] = wrong
        else:
            came[name] = None
    return came


def _say_died(instance: str, config: Path | None) -> None:
    import asyncio

    from guard.cli.died import channels, death_of, file_of, notice_of, state, tell

    shown = state()
    death = death_of(instance, shown)
    notice = notice_of(death, shown)
    typer.echo(f"{notice.headline}: {notice.because}. {notice.next_step}")
    found = channels(config or file_of(death.unit, DEFAULT))
    for name, problem in asyncio.run(tell(notice, found)).items():
        typer.echo(f"{name}: {problem}", err=True)


COMMANDS: dict[str, Callable[..., Any]] = {"alert": alert}
