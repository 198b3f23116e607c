"""Tables and times for people; colour only at a terminal that wants it (NO_COLOR is heeded)."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Iterable, Sequence

import typer

from guard.judge.quantities import QuantityError, parse_duration, say_seconds


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table: drawn and fitted at a terminal, else plain columns that nothing is cut from."""
    lines = [[one_line(cell) for cell in row] for row in rows]
    if _terminal():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        drawn = Table(box=None, pad_edge=False, header_style="bold")
        for head in heads:
            drawn.add_column(head, overflow="fold")
        for line in lines:
            drawn.add_row(*(Text(cell) for cell in line))  # Text: a name in brackets is no markup
        Console().print(drawn)
        return
    everything = [list(heads), *lines]
    widths = [max(len(line[i]) for line in everything) for i in range(len(heads))]
    for line in everything:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def table_with_reasons(heads: Sequence[str], rows: Iterable[tuple[Sequence[str], str]]) -> None:
    """Columns, and below each row its reason, which is a sentence and would not fit beside them."""
    lines = [([one_line(cell) for cell in columns], reason) for columns, reason in rows]
    widths = [max(len(line[i]) for line in (heads, *(columns for columns, _ in lines))) for i in range(len(heads))]
    for columns, reason in ((heads, ""), *lines):
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(columns, widths, strict=True)).rstrip())
        if reason:
            typer.echo(f"  {reason}")


def one_line(text: str) -> str:
    """A note or a reason that others wrote, which must not pass for lines of ours."""
    return " ".join(text.split("\n"))


def coloured(text: str, colour: str) -> str:
    """The text in a colour, where standard output is a terminal that wants one."""
    import os

    plain = not _terminal() or bool(os.environ.get("NO_COLOR"))
    return text if plain else typer.style(text, fg=colour)


def _terminal() -> bool:
    # None: standard output was closed by whoever started this.
    return sys.stdout is not None and sys.stdout.isatty()


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def ago(wall: float | None, now: float) -> str:
    """How long ago a Unix time was."""
    return "" if wall is None else say_seconds(max(0.0, round(now - wall, 1)))


def at(wall: float | None) -> str:
    """A Unix time in UTC."""
    return "" if wall is None else dt.datetime.fromtimestamp(wall, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def duration(text: str) -> float:
    """A duration option in seconds; the error is one of usage."""
    try:
        seconds = parse_duration(text)
    except QuantityError as wrong:
        raise typer.BadParameter(str(wrong)) from None
    if seconds <= 0:
        raise typer.BadParameter("must be longer than nothing")
    return seconds
