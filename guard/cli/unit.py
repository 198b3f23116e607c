"""rollback-runner: what the rollback unit of systemd starts. People have no use for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from guard.cli.where import DEFAULT, Config


def rollback_runner(config: Config = None) -> None:
    """Run the rollback hooks that a daemon has asked for, with the commands of the configuration file, and exit.

    Started by migration-guard-rollback.path whenever there is a request. What each hook came to it leaves in the state
    directory for the daemon.
    """
    import asyncio
    import signal
    from pathlib import Path

    from guard.act.rollback_hook import RollbackHook
    from guard.act.rollback_requests import Requests
    from guard.act.rollback_unit import serve_requests
    from guard.errors import ConfigError
    from guard.rollbacks import hook_of_unit
    from guard.settings import Settings, load
    from guard.settings.environment import Environment

    path = config or DEFAULT

    def settings_of_file() -> Settings | ConfigError:
        try:
            return load(path)
        except ConfigError as wrong:
            return wrong

    settings = settings_of_file()
    # A request must not stay where it is because of a wrong file: the path unit would start us for ever.
    state: Path = settings.guard.state_directory if isinstance(settings, Settings) else Environment().state()

    def hook_of(database: str, migration: str) -> RollbackHook:
        if isinstance(settings, ConfigError):
            raise settings
        return hook_of_unit(settings, database, migration)

    async def run() -> int:
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        return await serve_requests(Requests(state), hook_of, stopping=stopping)

    typer.echo(f"requests taken: {asyncio.run(run())}")


COMMANDS: dict[str, Callable[..., Any]] = {"rollback-runner": rollback_runner}
