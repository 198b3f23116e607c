"""The phases of a run as a table: (phase, move) -> phase. Everything that may happen stands in it; nothing else can.

This file knows neither rules nor clocks. `python -m guard.decide.machine` prints the diagram that the README shows.
"""

from __future__ import annotations

import enum
import sys

from guard.model import Ask, Finding, OrderKind, Phase


class Move(enum.StrEnum):
    """What may happen to a run."""

    CALM = "all is well"
    WARN = "a warning"
    HOLD = "not well enough yet"
    PAUSE = "a breach"
    CANCEL = "a lock queue"
    ROLLBACK = "a rollback is due"
    ABORT = "an abort"
    ENDED = "the migration ended"
    GONE = "the migration vanished"
    ROLLED = "the rollback ended"
    SOAKED = "the soak is over"


ORDERS: dict[Phase, OrderKind] = {
    Phase.WAITING: OrderKind.PAUSE,
    Phase.RUNNING: OrderKind.PROCEED,
    Phase.STRAINED: OrderKind.PROCEED,
    Phase.PAUSED: OrderKind.PAUSE,
    Phase.ROLLING_BACK: OrderKind.ABORT,
    Phase.ABORTED: OrderKind.ABORT,
    Phase.SOAKING: OrderKind.PROCEED,
    Phase.DONE: OrderKind.PROCEED,
}

ENDINGS = frozenset({Phase.ABORTED, Phase.DONE})
"""Nothing but a human leads out of these."""

_STARTED = {
    Move.PAUSE: Phase.PAUSED,
    Move.CANCEL: Phase.PAUSED,
    Move.ROLLBACK: Phase.ROLLING_BACK,
    Move.ABORT: Phase.ABORTED,
    Move.ENDED: Phase.SOAKING,
    Move.GONE: Phase.DONE,
}

# A move that a phase does not name leaves it as it is: a rollback under way is not paused, an ended run not resumed.
_MOVES: dict[Phase, dict[Move, Phase]] = {
    Phase.WAITING: {
        Move.CALM: Phase.RUNNING,
        Move.WARN: Phase.STRAINED,
        Move.ABORT: Phase.ABORTED,
        Move.ENDED: Phase.DONE,
        Move.GONE: Phase.DONE,
    },
    Phase.RUNNING: {Move.WARN: Phase.STRAINED, **_STARTED},
    Phase.STRAINED: {Move.CALM: Phase.RUNNING, **_STARTED},
    Phase.PAUSED: {Move.CALM: Phase.RUNNING, Move.WARN: Phase.STRAINED, **_STARTED},
    Phase.ROLLING_BACK: {Move.ROLLED: Phase.ABORTED},
    Phase.ABORTED: {},
    Phase.SOAKING: {Move.ROLLBACK: Phase.ROLLING_BACK, Move.SOAKED: Phase.DONE},
    Phase.DONE: {},
}

TABLE: dict[tuple[Phase, Move], Phase] = {
    (phase, move): _MOVES[phase].get(move, phase) for phase in Phase for move in Move
}


def move_for(phase: Phase, finding: Finding) -> Move:
    """Turn what the rules ask for into a move.

    A stopped run starts only when every rule is well; one that waits for its first start, when every rule has spoken.
    """
    if finding.ask >= Ask.PAUSE:
        return {Ask.PAUSE: Move.PAUSE, Ask.CANCEL: Move.CANCEL, Ask.ROLLBACK: Move.ROLLBACK}[finding.ask]
    stopped = phase is Phase.PAUSED and not finding.well
    unheard = phase is Phase.WAITING and not finding.settled
    if stopped or unheard or finding.ask is Ask.HOLD:
        return Move.HOLD
    return Move.WARN if finding.ask is Ask.WARN else Move.CALM


def diagram() -> str:
    """The table as a mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> waiting: registered"]
    for phase in Phase:
        arrows: dict[Phase, list[str]] = {}
        for move in Move:
            target = TABLE[phase, move]
            if target is not phase:
                arrows.setdefault(target, []).append(move.value)
        for target, moves in arrows.items():
            lines.append(f"    {_id(phase)} --> {_id(target)}: {', '.join(moves)}")
    lines += [f"    {_id(phase)} --> [*]" for phase in Phase if phase in ENDINGS]
    return "\n".join(lines)


def _id(phase: Phase) -> str:
    return phase.value.replace(" ", "_")


if __name__ == "__main__":  # pragma: no cover
    sys.stdout.write(diagram() + "\n")
