"""Moments as people read them: Unix time in UTC, wherever the guard lives. Pure."""

from __future__ import annotations

import datetime as dt


def say_moment(wall: float) -> str:
    """`2023-11-14 22:13:20 UTC`."""
    return dt.datetime.fromtimestamp(wall, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def say_clock(wall: float, seen_from: float) -> str:
    """`22:13:20 UTC`; with its date where that is another one than that of the moment from which it is seen."""
    text, today = say_moment(wall), say_moment(seen_from)
    return text.split(" ", 1)[1] if text.split(" ")[0] == today.split(" ")[0] else text
