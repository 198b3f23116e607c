"""What people see of a backfill at work: a bar at a terminal, else a line now and then, or an object a line as JSON."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

import typer

from guard.cli.plain import plain
from guard.exits import Exit
from guard.judge.quantities import say_seconds

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from guard.client.backfill import Ended, Manner, Preview, Progress

EVERY, EVERY_LINE = 1.0, 10.0
"""Seconds between two objects of JSON, and two lines."""
_WINDOW = 10.0
"""Seconds over which speed is taken."""
AGAIN = "What is committed stays: the same command goes on where it stopped."


class Teller(Protocol):
    """Whom a backfill tells how it goes; the last two return the exit code that they were given."""

    def moved(self, progress: Progress) -> None: ...
    def waits(self, words: str) -> None: ...
    def ended(self, ended: Ended, code: Exit) -> Exit: ...
    def failed(self, outcome: str, words: str, code: Exit) -> Exit: ...


@contextmanager
def teller(name: str, table: str, *, as_json: bool) -> Iterator[Teller]:
    """As the options and the terminal want it."""
    if as_json:
        yield _Json(name)
        return
    if sys.stderr is None or not sys.stderr.isatty():
        yield _Lines(name, table)
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.fields[pass_]}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[more]}"))
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _Drawn(name, table, bar)


class Speed:
    """Keys a second of late, and how long the rest of a pass takes at that."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._total = 0

    def saw(self, progress: Progress) -> None:
        """A batch was committed."""
        self._total += progress.batch
        self._seen.append((time.monotonic(), self._total))
        while len(self._seen) > 2 and self._seen[0][0] < self._seen[-1][0] - _WINDOW:
            self._seen.popleft()

    @property
    def keys(self) -> float | None:
        """A second; None from one batch alone."""
        (since, first), (until, last) = self._seen[0], self._seen[-1]
        return (last - first) / (until - since) if until > since else None

    def left(self, progress: Progress) -> float | None:
        """Seconds to the end of this pass."""
        if not self.keys or progress.of is None:
            return None
        return max(0, progress.of - progress.keys) / self.keys


class _Json:
    def __init__(self, name: str) -> None:
        self._name, self._speed, self._said_at = name, Speed(), 0.0

    def moved(self, progress: Progress) -> None:
        self._speed.saw(progress)
        if time.monotonic() - self._said_at >= EVERY:
            self._said_at = time.monotonic()
            values = {key.rstrip("_"): value for key, value in asdict(progress).items()}
            speed = {"keys_per_second": self._speed.keys, "seconds_left": self._speed.left(progress)}
            self._say("progress", **values, **speed)

    def waits(self, words: str) -> None:
        self._say("waits", words=words)

    def ended(self, ended: Ended, code: Exit) -> Exit:
        self._say("ended", outcome="done" if ended.well else "unverified", exit=int(code), **asdict(ended))
        return code

    def failed(self, outcome: str, words: str, code: Exit) -> Exit:
        self._say("ended", outcome=outcome, exit=int(code), words=words)
        return code

    def _say(self, event: str, **more: Any) -> None:
        typer.echo(json.dumps({"event": event, "migration": self._name, "at": time.time(), **more}, ensure_ascii=False))


class _Lines:
    def __init__(self, name: str, table: str) -> None:
        self._name, self._table, self._speed = name, table, Speed()
        self._said_at = time.monotonic()

    def moved(self, progress: Progress) -> None:
        self._speed.saw(progress)
        if time.monotonic() - self._said_at >= EVERY_LINE:
            self._said_at = time.monotonic()
            typer.echo(f"{self._name}: {_pass(progress)}, {_how_far(progress, self._speed)}", err=True)

    def waits(self, words: str) -> None:
        typer.echo(words, err=True)

    def ended(self, ended: Ended, code: Exit) -> Exit:
        typer.echo(f"{self._name}: {words_of(ended, self._table)}")
        return code

    def failed(self, outcome: str, words: str, code: Exit) -> Exit:  # noqa: ARG002 -- the words say it
        typer.echo(words, err=True)
        if code is Exit.LATER:
            typer.echo(AGAIN, err=True)
        return code


class _Drawn(_Lines):
    def __init__(self, name: str, table: str, bar: Bar) -> None:
        super().__init__(name, table)
        self._bar, self._task = bar, bar.add_task("", total=None, pass_=plain(name), more="begins")

    def moved(self, progress: Progress) -> None:
        self._speed.saw(progress)
        more = _how_far(progress, self._speed, bar=True)
        words = f"{plain(self._name)}: {_pass(progress)}"
        self._bar.update(self._task, completed=progress.keys, total=progress.of, pass_=words, more=more)

    def waits(self, words: str) -> None:
        from rich.text import Text

        self._bar.update(self._task, more="waits")
        self._bar.console.print(Text(plain(words)))

    def ended(self, ended: Ended, code: Exit) -> Exit:
        self._bar.stop()
        return super().ended(ended, code)

    def failed(self, outcome: str, words: str, code: Exit) -> Exit:
        self._bar.stop()
        return super().failed(outcome, words, code)


def _pass(progress: Progress) -> str:
    return f"pass {progress.pass_}" if progress.pass_ > 1 else "first pass"


def _how_far(progress: Progress, speed: Speed, *, bar: bool = False) -> str:
    of = f" of about {progress.of:,} ({min(1.0, progress.keys / max(progress.of, 1)):.0%})" if progress.of else ""
    parts = (
        [f"{progress.rows:,} rows changed"] if bar else [f"{progress.keys:,} keys{of}, {progress.rows:,} rows changed"]
    )
    parts += [f"{speed.keys:,.0f} keys/s"] if speed.keys else []
    left = speed.left(progress)
    parts += [f"about {say_seconds(round(left))} to go"] if left is not None else []
    return ", ".join([*parts, f"batches of {progress.batch:,}"])


def words_of(ended: Ended, table: str) -> str:
    """How it ended, for people."""
    rows = f"{ended.rows:,} rows changed in {ended.batches:,} batches"
    if ended.verified == "nothing left":
        how = f"done: {rows}; a last pass over {table} found nothing left to change"
    elif ended.verified == "once":
        how = f"done: {rows}, each once; they match WHERE as before, so that no look at them can verify it"
    elif ended.verified == "still match":
        how = (
            f"{rows}, but {ended.still:,} of them match WHERE as before: SET leaves them so. Look at "
            "some of them, and --restart with what is right for them"
        )
    else:
        how = (
            f"{rows}, but each of {ended.passes} passes found rows that match WHERE: somebody still writes such rows, "
            "or a trigger or a policy keeps them as they are. Once nothing does, the same command again"
        )
    return f"{how}.{' It had ended before; --restart begins anew.' if ended.before else ''}"


def show_preview(found: Preview, manner: Manner, *, as_json: bool) -> None:
    """What is to be expected."""
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2, ensure_ascii=False))
        return
    size = "nobody has counted its rows (ANALYZE does)" if found.tuples is None else f"about {found.tuples:,} rows"
    typer.echo(f"{found.table}: {size}, of which the planner expects {found.matching:,} to match; by key {found.key}.")
    if found.batches is not None:
        longest = found.batches * manner.batch_time
        typer.echo(
            f"At least {found.batches:,} batches of at most {manner.max_batch:,} keys: {say_seconds(longest)} where "
            f"each takes the whole {say_seconds(manner.batch_time)}; longer where it can change fewer rows than that."
        )
    typer.echo("The plan of one batch:")
    for line in found.plan:
        typer.echo(f"  {line}")
    typer.echo("Nothing was changed.")
