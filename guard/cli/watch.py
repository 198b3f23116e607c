"""watch: what `status` and `explain` tell, kept up to date: a picture in a terminal, elsewhere a line for each change.

It reads the guarded databases itself, so it goes on while a guard is dead, and from any machine that reaches them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol, Self, TextIO

import typer

from guard.cli.saying import Saying
from guard.cli.seen import view
from guard.cli.watched import Watched, WatchedEvent
from guard.cli.where import Config, Dsn, EachDatabase, Target, plainly, targets
from guard.cli.words import duration
from guard.errors import ServerError, WorldError
from guard.sql import get

if TYPE_CHECKING:
    from guard.postgres import Door

LEAST_INTERVAL: Final = 1.0
"""Seconds: an open watch must not be a load of its own on a database that suffers."""
DEADLINE: Final = 5.0
"""Seconds after which a question is given up and the connection with it."""
_EVENTS: Final = 200
"""So many of the newest are looked through: of one migration there may be few among them."""


class Shows(Protocol):
    """Where a watch is seen."""

    def show(self, databases: Sequence[Watched]) -> None:
        """Show how it stands now."""

    def came(self, watched: Watched, fresh: Iterable[WatchedEvent]) -> None:
        """One database has answered, or has failed to; *fresh* are the events that are news."""


def watch(
    name: Annotated[str | None, typer.Argument(show_default="all that run", help="Only this migration.")] = None,
    config: Config = None,
    database: EachDatabase = None,
    dsn: Dsn = None,
    interval: Annotated[str, typer.Option("--interval", help="How often each database is asked, such as 1s.")] = "1s",
    plain: Annotated[
        bool, typer.Option("--plain", help="One line for each change, as where the output is no terminal.")
    ] = False,
) -> None:
    """What status and explain tell, as it changes: states, reasons, signals beside their limits, events.

    It asks the databases themselves, each on one connection, and so says when a guard is dead and since when. Times are
    UTC. Ctrl-C ends it, with 0.
    """
    seconds = duration(interval)
    if seconds < LEAST_INTERVAL:
        raise typer.BadParameter("--interval must be 1s or longer: what is watched must not suffer from it")
    # A library's log line would stand in the middle of the picture.
    logging.getLogger("guard").addHandler(logging.NullHandler())
    wanted = targets(config, database, dsn)
    if plain or not drawable():
        asyncio.run(_watch(wanted, name, seconds, _Lines()))
        return
    with _Picture() as shown:
        asyncio.run(_watch(wanted, name, seconds, shown))


def drawable() -> bool:
    """Whether standard output is a terminal whose cursor can be moved."""
    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM", "") not in {"", "dumb", "unknown"}


async def _watch(wanted: Sequence[Target], name: str | None, interval: float, shown: Shows) -> None:
    loop = asyncio.get_running_loop()
    over, changed = asyncio.Event(), asyncio.Event()
    _on_signals(over.set, changed.set)
    databases = [Watched(each.name, name) for each in wanted]

    def came(watched: Watched, fresh: Iterable[WatchedEvent]) -> None:
        shown.came(watched, fresh)
        changed.set()

    asking: list[asyncio.Task[Any]] = [
        asyncio.create_task(_ask(where, watched, interval, came))
        for where, watched in zip(wanted, databases, strict=True)
    ]
    ending: asyncio.Task[Any] = asyncio.create_task(over.wait())
    try:
        while not ending.done():
            changed.clear()
            shown.show(databases)
            turned: asyncio.Task[Any] = asyncio.create_task(changed.wait())
            # Ages grow although nothing changes. A task that has failed ends the watch with its error.
            await asyncio.wait([ending, turned, *asking], timeout=LEAST_INTERVAL, return_when=asyncio.FIRST_COMPLETED)
            turned.cancel()
            for task in asking:
                if task.done():
                    task.result()
    finally:
        for task in (*asking, ending):
            task.cancel()
        await asyncio.gather(*asking, ending, return_exceptions=True)
        loop.remove_signal_handler(signal.SIGWINCH)


def _on_signals(end: Callable[[], None], redraw: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGWINCH, redraw)


async def _ask(
    where: Target, watched: Watched, interval: float, came: Callable[[Watched, Iterable[WatchedEvent]], None]
) -> None:
    """Ask one database again and again, for ever."""
    from guard.postgres import Hosts

    clock = asyncio.get_running_loop().time
    if where.trouble:
        watched.failed(where.trouble, clock())
        came(watched, ())
        await asyncio.Event().wait()
    hosts = Hosts(where.conninfo)
    door = hosts.door("cli", deadline=DEADLINE, statement_timeout_ms=3000, lock_timeout_ms=1000)
    try:
        while True:
            began = clock()
            came(watched, await _look(where, watched, door, clock))
            await asyncio.sleep(max(0.0, began + interval - clock()))
    finally:
        await door.close()
        await hosts.close()


async def _look(where: Target, watched: Watched, door: Door, clock: Callable[[], float]) -> tuple[WatchedEvent, ...]:
    """Ask once; what the door cannot reach it tries again by itself, more and more seldom."""
    try:
        about = {"since": watched.last_event, "most": _EVENTS}
        # Before the view: a state that is newer than its event is told once too often, an older one were told wrongly.
        events = await door.fetch_as(WatchedEvent, get("cli_watch_events"), about)
        return watched.answered(await view(door, watched.only), events, clock())
    except ServerError as wrong:
        watched.failed(str(plainly(where, wrong)).removeprefix(f"{where.name}: "), clock())
    except WorldError as wrong:
        watched.failed(str(wrong), clock())
    return ()


class _Lines:
    """A line for each change, on standard output."""

    def __init__(self) -> None:
        self._said: dict[str, Saying] = {}

    def show(self, databases: Sequence[Watched]) -> None:
        """What stays as it is, is not said again."""

    def came(self, watched: Watched, fresh: Iterable[WatchedEvent]) -> None:
        """Say what has changed."""
        try:
            for line in self._said.setdefault(watched.name, Saying()).lines(watched, fresh, time.time()):
                typer.echo(line)
        except BrokenPipeError:
            raise  # whoever read it has had enough: no error of anybody
        except OSError as wrong:
            raise WorldError(f"Standard output cannot be written: {wrong.strerror}.") from None


class _Picture:
    """The whole terminal, drawn anew each time; at its end what was there before comes back, and the last picture."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        # Standard output shows control characters as question marks, whoever they are from; a picture is made of them,
        # and takes them out of others' words itself.
        self._stream: TextIO = open(  # noqa: SIM115 -- it is the terminal's own descriptor, and stays open
            sys.stdout.fileno(), "w", encoding=sys.stdout.encoding, errors="replace", closefd=False
        )
        self._console = Console(file=self._stream, highlight=False)
        self._live = Live(
            console=self._console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._last: list[Any] = []

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # the terminal itself has gone
            self._live.stop()
            for line in self._last:
                self._console.print(line, soft_wrap=True)
            self._stream.flush()

    def show(self, databases: Sequence[Watched]) -> None:
        """Draw it for the terminal's present size."""
        from rich.console import Group

        from guard.cli.drawing import picture

        width, height = self._console.size
        self._last = picture(databases, asyncio.get_running_loop().time(), width, height)
        try:
            self._live.update(Group(*self._last), refresh=True)
        except OSError as wrong:
            raise WorldError(f"The terminal cannot be written to: {wrong.strerror}.") from None

    def came(self, watched: Watched, fresh: Iterable[WatchedEvent]) -> None:
        """The next picture shows it."""


COMMANDS: dict[str, Callable[..., Any]] = {"watch": watch}
