"""The picture of a run that has ended, drawn from the flight recorder in a thread of its own. Nobody waits for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from guard.errors import WorldError
from guard.journal import Reader
from guard.model import Notice
from guard.show.aside import Aside
from guard.show.png import chart, described
from guard.show.timeline import Timeline
from guard.show.tracing import Tracing
from guard.tell.slack_picture import Picture

LONGEST: Final = 2 * 3600.0
"""Seconds that are drawn, the last of a run: to read days of frames would keep a core from the guard for long."""


class Gallery:
    """Draws from one recorder's file, one picture after another."""

    def __init__(self, tape: Path) -> None:
        self._tape = tape
        self._aside = Aside()

    async def draw(self, notice: Notice) -> Picture | None:
        """The picture of the run that a notice is about; None where nothing of it is recorded. Raises Busy."""
        return await self._aside.do(partial(_picture, self._tape, notice))


def _picture(tape: Path, notice: Notice) -> Picture | None:
    try:
        timeline = _timeline(Reader(tape), notice)
    except WorldError:
        return None
    # Those past a limit stand first.
    signal = next((each for each in timeline.signals if len(each.points) > 1), None) if timeline is not None else None
    if timeline is None or signal is None:
        return None
    words = described(signal)
    return Picture(chart(signal, timeline), f"{notice.migration} (run {notice.run_id}): {words}", words)


def _timeline(reader: Reader, notice: Notice) -> Timeline | None:
    about = (notice.migration, notice.run_id)
    runs = [run for run in reader.runs(notice.database) if (run.migration, run.run_id) == about]
    if not runs:
        return None
    until = max(runs[-1].to_wall, notice.at_wall)
    since = max(runs[-1].from_wall, until - LONGEST)

    def make(frames: Iterator[Mapping[str, Any]]) -> Timeline:
        tracing = Tracing(notice.database, about, since=since, until=until)
        for frame in frames:
            tracing.take(frame)
        return tracing.timeline()

    return reader.between(notice.database, since, until, make)
