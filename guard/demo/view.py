"""What a person sees while the demonstration runs: a live view in a terminal, plain lines elsewhere.

It only looks on: with a session of its own, at the backfill's diary, the event table and Slack's server.
"""

from __future__ import annotations

import contextlib
import textwrap
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import psycopg
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from guard.demo.diary import read_diary
from guard.demo.slack import Message
from guard.demo.verdict import Figure
from guard.demo.world import ROWS, World

_EVERY = 0.25
_SAID = 6
"""Lines for what is said."""
_NOW = """
select (select coalesce(extract(epoch from max(replay_lag)), 0)::float8 from pg_stat_replication),
       (select e.phase from migration_guard.event e where e.migration <> '*' order by e.event_id desc limit 1),
       (select count(*) from pg_locks l join pg_stat_activity a using (pid) where not l.granted and a.usename = 'app')
"""
_COLOURS = {"running": "green", "paused": "yellow", "waiting": "cyan", "rolling back": "red", "aborted": "red"}


@dataclass(frozen=True, slots=True)
class Glimpse:
    """One look at the scene."""

    rows: int = 0
    lag: float = 0.0
    phase: str = ""
    queued: int = 0
    errors: float | None = None


class Stage:
    """Shows what is said and what is seen, within a with block.

    *live* redraws a view; without it each thing that is said, and each message, is one line with its time.
    """

    def __init__(self, console: Console, *, live: bool) -> None:
        self._console = console
        self._said: deque[str] = deque(maxlen=_SAID)
        self._glimpse = Glimpse()
        self._messages: Sequence[Message] = ()
        self._began = time.monotonic()
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._watcher: threading.Thread | None = None
        # Last: it draws at once.
        self._live = Live(console=console, refresh_per_second=4, get_renderable=self._draw) if live else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._watcher:
            self._watcher.join(5)
        if self._live:
            self._live.stop()

    def say(self, words: str) -> None:
        """Tell what the demonstration itself does."""
        line = f"{time.monotonic() - self._began:6.1f} s  {words}"
        with self._lock:
            self._said.append(line)
            if self._live is None:
                self._print(line)

    def watch(self, world: World) -> None:
        """Begin to look on."""
        self._watcher = threading.Thread(target=self._watch, args=(world,), daemon=True)
        self._watcher.start()

    def _print(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)

    # -- looking -------------------------------------------------------------------------------------------------------

    def _watch(self, world: World) -> None:
        # A view that fails must not fail the demonstration: at its end the servers go first.
        with contextlib.suppress(psycopg.Error, OSError), world.connect("postgres") as admin:
            while not self._over.wait(_EVERY):
                self._look(world, admin)

    def _look(self, world: World, admin: psycopg.Connection[Any]) -> None:
        lag, phase, queued = admin.execute(_NOW).fetchone() or (0.0, "", 0)
        rows = sum(entry["rows"] for entry in read_diary(world.diary) if entry["what"] == "batch committed")
        errors = world.shop_health()["error_rate"]
        messages = world.slack.messages
        with self._lock:
            fresh = messages[len(self._messages) :]
            self._glimpse, self._messages = Glimpse(rows, lag, phase or "", queued, errors), messages
            for message in fresh if self._live is None else ():
                self._print(f"{time.monotonic() - self._began:6.1f} s  Slack │ " + " │ ".join(message.lines[:2]))

    # -- drawing -------------------------------------------------------------------------------------------------------

    def _draw(self) -> RenderableType:
        with self._lock:
            said, glimpse, messages = list(self._said), self._glimpse, self._messages
        shown: list[RenderableType] = [
            Panel(Text("\n".join(self._fitted(said))), title="migration-guard demo", height=_SAID + 2)
        ]
        shown.append(Panel(_gauges(glimpse), title="now"))
        room = self._console.height - 16  # lines that the two panels above and the cursor leave
        newest = messages[-2:] if room >= 24 else messages[-1:]
        height = max(5, min(14, room // max(1, len(newest))))
        title = f"Slack, {len(messages)} message{'s' * (len(messages) != 1)}"
        shown += [Panel(Text("\n".join(each.lines)), title=title, title_align="left", height=height) for each in newest]
        return Group(*shown)

    def _fitted(self, said: Sequence[str]) -> list[str]:
        """The newest lines, folded to the panel: an ellipsis would hide the reasons, which stand last."""
        room = max(20, self._console.width - 4)
        folded = [line for each in said for line in textwrap.wrap(each, room, subsequent_indent=" " * 10)]
        return folded[-_SAID:]


def _gauges(glimpse: Glimpse) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_row("backfill", ProgressBar(total=ROWS, completed=glimpse.rows, width=30), f"{glimpse.rows:,} rows")
    grid.add_row("phase", Text(glimpse.phase or "-", style=_COLOURS.get(glimpse.phase, "")), "")
    grid.add_row("replay lag", f"{glimpse.lag:.1f} s", "")
    grid.add_row("lock queue", f"{glimpse.queued} requests of the shop wait", "")
    grid.add_row("shop errors", "unknown" if glimpse.errors is None else f"{glimpse.errors:.0%}", "")
    return grid


def closing_table(figures: Sequence[Figure]) -> Table:
    """What was measured, beside what it must be."""
    table = Table(title="Measured in this run", title_justify="left")
    for column, style in (("", ""), ("measured", ""), ("must be", "dim"), ("", "")):
        table.add_column(column, style=style, overflow="fold")
    for figure in figures:
        mark = Text("ok", style="green") if figure.ok else Text("WRONG", style="bold red")
        table.add_row(Text(figure.what), Text(figure.measured), Text(figure.wanted), mark)
    return table
