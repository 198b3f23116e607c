"""Two courses of one run, side by side: as it was recorded, and as another configuration would have had it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import typer

from guard.cli.words import at, one_line
from guard.cycle.replaying import Played, Side, Turn
from guard.cycle.values import Key
from guard.judge.quantities import say_seconds
from guard.model import Phase

_SAME_QUEUE = 10.0
"""Seconds: a queue that is asked to be cleared again so soon is the same one."""


@dataclass(frozen=True, slots=True)
class Course:
    """What became of one run."""

    turns: tuple[Turn, ...]
    pauses: int
    paused: float
    """Seconds."""
    queues: int
    """Lock queues that were to be cleared."""
    aborted: bool
    rolled_back: bool

    @property
    def words(self) -> str:
        """`paused 3 times, 2m10s; 1 lock queue to clear`."""
        said = [f"paused {_times(self.pauses)}" + (f", {say_seconds(round(self.paused, 1))}" if self.pauses else "")]
        if self.queues:
            said.append(f"{self.queues} lock queue{'s' if self.queues > 1 else ''} to clear")
        if self.rolled_back:
            said.append("rolled back")
        elif self.aborted:
            said.append("aborted")
        return "; ".join(said)


def course_of(side: Side, key: Key, ended: float) -> Course:
    """The course of one run up to a wall time."""
    turns = tuple(turn for turn in side.turns if (turn.migration, turn.run_id) == key)
    ends = [turn.wall for turn in turns[1:]] + [ended]
    spans = [(turn.phase, max(0.0, end - turn.wall)) for turn, end in zip(turns, ends, strict=False)]
    return Course(
        turns,
        pauses=sum(phase is Phase.PAUSED for phase, _ in spans),
        paused=sum(span for phase, span in spans if phase is Phase.PAUSED),
        queues=_queues(wall for wall, migration, _ in side.queues if migration == key[0]),
        aborted=any(phase is Phase.ABORTED for phase, _ in spans),
        rolled_back=any(phase is Phase.ROLLING_BACK for phase, _ in spans),
    )


def _queues(walls: Iterable[float]) -> int:
    count, last = 0, float("-inf")
    for wall in walls:
        count += wall - last > _SAME_QUEUE
        last = wall
    return count


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def as_json(course: Course) -> dict[str, object]:
    """For scripts; times are Unix seconds."""
    return {
        "pauses": course.pauses,
        "paused_seconds": round(course.paused, 3),
        "queues_to_clear": course.queues,
        "aborted": course.aborted,
        "rolled_back": course.rolled_back,
        "turns": [{"at": turn.wall, "phase": turn.phase.value, "because": turn.because} for turn in course.turns],
    }


def show(recorded: Course, other: Course, *, name: str) -> None:
    """Both timelines, a line a turn: what both did at once stands in one line."""
    typer.echo(f"{'TIME':<24}{'RECORDED':<15}{name}")
    for wall, theirs, ours in _side_by_side(recorded, other):
        left, right = (turn.phase.value if turn else "" for turn in (theirs, ours))
        typer.echo(f"{at(wall):<24}{left:<15}{right}".rstrip())
        for reason in dict.fromkeys(turn.because for turn in (theirs, ours) if turn):
            typer.echo(f"    {one_line(reason)}")


def _side_by_side(recorded: Course, other: Course) -> list[tuple[float, Turn | None, Turn | None]]:
    rows: dict[tuple[float, Phase], list[Turn | None]] = {}
    for column, course in enumerate((recorded, other)):
        for turn in course.turns:
            rows.setdefault((turn.wall, turn.phase), [None, None])[column] = turn
    # Stable: turns of one moment stay in their order.
    return [(wall, left, right) for (wall, _), (left, right) in sorted(rows.items(), key=lambda row: row[0][0])]


def remarks(played: Played) -> Iterable[str]:
    """What a reader must know before they trust the comparison."""
    if played.configurations > 1:
        yield f"The run was recorded under {played.configurations} configurations, one after the other."
    if played.missing:
        yield f"{say_seconds(round(played.missing, 1))} of the record are missing (a full disk, say)."
    for name in played.baseless:
        yield f'Rule "{name}" asks for a baseline that was not recorded: past its other limits it counts as unknown.'
    if played.same_options:
        yield "It was recorded under the same configuration, and " + (
            f"DECIDED OTHERWISE all the same: {played.differs}" if played.differs else "each decision was the same."
        )
    else:
        yield "It goes by the readings as they were taken; a run that is paused at other times makes other ones."
