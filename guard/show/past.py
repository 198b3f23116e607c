"""The runs of late, as the flight recorder's file has them. It waits for the disk, so it is asked aside."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guard.errors import WorldError
from guard.journal import Reader, Recorded
from guard.show.coursepage import Course
from guard.show.timeline import Timeline
from guard.show.tracing import Tracing

LONGEST = 3600.0
"""Seconds of a run that are drawn."""
_RIM = 0.06
"""Share of the run that is drawn before it."""
_REST = 0.01
"""Seconds after each run whose end was read."""
_SPELL = 0.002
"""Seconds of work after which as long a rest follows."""
MOST = 40
"""Runs that are shown, the newest of all databases."""


@dataclass(frozen=True, slots=True)
class Past:
    """One recorded run; Unix times."""

    database: str
    migration: str
    run_id: int | None
    from_wall: float
    to_wall: float
    phase: str
    """In which it was seen last; empty: not known."""
    because: str


@dataclass(frozen=True, slots=True)
class Recent:
    """The newest runs that are over, newest first; None where nobody knows, and why."""

    runs: Sequence[Past] | None
    missing: str = ""

    def find(self, database: str, run_id: int | None) -> Past | None:
        """One of them."""
        known = self.runs or ()
        return next((each for each in known if (each.database, each.run_id) == (database, run_id)), None)


class Archive:
    """Remembers what it has read of runs that are over. Use from one thread."""

    def __init__(self, path: Path) -> None:
        self._reader = Reader(path)
        self._ends: dict[tuple[str, str, int | None, int], tuple[str, str]] = {}

    def recent(self, databases: Sequence[str], but: Collection[tuple[str, int | None]] = ()) -> tuple[Past, ...]:
        """The newest runs, newest first, without some by database and id; none where nothing was recorded yet.

        Raises WorldError.
        """
        if not self._reader.path.exists():
            return ()
        found = [(database, run) for database in databases for run in self._reader.runs(database)]
        found = [(database, run) for database, run in found if (database, run.run_id) not in but]
        found = sorted(found, key=lambda each: each[1].to_wall, reverse=True)[:MOST]
        keys = {_key(database, run): (database, run) for database, run in found}
        self._ends = {key: self._ends.get(key) or self._end(*where) for key, where in keys.items()}
        return tuple(
            Past(database, run.migration, run.run_id, run.from_wall, run.to_wall, *self._ends[_key(database, run)])
            for database, run in found
        )

    def course(self, database: str, run_id: int | None) -> Course:
        """The course of a run, of a long one the last hour. It takes its time, and leaves the guard its own."""
        try:
            found = [run for run in self._reader.runs(database) if run.run_id == run_id]
            return self._course(database, found[-1]) if found else Course()
        except WorldError as error:
            return Course(missing=str(error) if self._reader.path.exists() else "")
        except (ValueError, KeyError, TypeError):
            return Course(missing="It was recorded by a version that this one cannot read.")

    def _course(self, database: str, run: Recorded) -> Course:
        rim = min(60.0, max(3.0, (run.to_wall - run.from_wall) * _RIM))
        since, until = max(run.from_wall - rim, run.to_wall - LONGEST), run.to_wall + rim

        def make(frames: Iterator[dict[str, Any]]) -> Timeline:
            tracing, began = Tracing(database, (run.migration, run.run_id), since=since), time.monotonic()
            for frame in frames:
                tracing.take(frame)
                if time.monotonic() - began > _SPELL:
                    # Else the loop of the guard would wait for this thread again and again.
                    time.sleep(_SPELL)
                    began = time.monotonic()
            return tracing.timeline()

        timeline = self._reader.between(database, since, until, make)
        return Course(timeline, drawn=LONGEST if run.to_wall - run.from_wall > LONGEST else None)

    def _end(self, database: str, run: Recorded) -> tuple[str, str]:
        """Phase and reason in the last frame that speaks of it: only the end of the tape is read for that."""
        last = Recorded(run.migration, run.run_id, run.from_wall, run.to_wall, run.last, run.last)
        phase = because = ""
        for frame in self._reader.frames(database, last):
            for state in _states(frame, run):
                phase, because = str(state.get("phase", phase)), str(state.get("because", because))
        time.sleep(_REST)
        return phase, because


def _states(frame: dict[str, Any], run: Recorded) -> list[dict[str, Any]]:
    """All that a frame says of the state of a run, oldest first; see guard.cycle.tape for its keys."""
    told = [
        state
        for state in frame.get("whole", {}).get("states", ())
        if (state.get("migration"), state.get("run_id")) == (run.migration, run.run_id)
    ]
    for entry in frame.get("d", ()):
        if entry.get("id") == [run.migration, run.run_id]:
            told += [entry[key] for key in ("new", "set", "after") if key in entry]
    return told


def _key(database: str, run: Recorded) -> tuple[str, str, int | None, int]:
    return (database, run.migration, run.run_id, run.last)
