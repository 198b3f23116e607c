"""What systemd and the person before `systemctl status` are told: that every guard judges, and what it says.

Nothing is decided here, and nothing fails where there is no systemd.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from guard.cycle.words import ailing
from guard.daemon import systemd
from guard.model import EVERYONE, Phase, State
from guard.settings import Settings
from guard.watch import Watch

log = logging.getLogger("guard.daemon")

_EVERY = 1.0
"""Seconds between two signs of life at most: the manager of the whole machine reads them."""
_LONGEST_REASON = 160


class Health:
    """Feeds the watchdog once every guard has judged again, and keeps the line of `systemctl status` true."""

    def __init__(self) -> None:
        self._fed = time.monotonic()
        self._said = ""
        self._refused = ""

    def fits(self, settings: Settings) -> None:
        """Have the watchdog wait for two rounds, where it is set to less: a guard at rest is not a dead one."""
        limit, needed = _watchdog(), 2 * settings.guard.longest_round
        if limit is not None and limit <= needed:
            words = (
                "WatchdogSec=%gs of the unit is too short for idle_interval and probe_deadline: asked systemd for %gs"
            )
            log.warning(words, limit, 1.5 * needed)
            systemd.tell(WATCHDOG_USEC=str(int(1.5e6 * needed)))

    def ready(self, watches: Sequence[Watch]) -> None:
        """The daemon guards; a reload that was refused before is history."""
        self._refused, self._said = "", self._status(watches)
        systemd.tell(READY="1", STATUS=self._said)

    def reload_refused(self, watches: Sequence[Watch]) -> None:
        """The old file stays in force, and the status says so until a file is taken up."""
        self._refused = f"reload refused at {_clock(time.time())}, the configuration stays as it was; "
        self._said = self._status(watches)
        systemd.tell(READY="1", STATUS=self._said)

    def report(self, watches: Sequence[Watch]) -> None:
        """Called often: says what has changed, and that all is alive where it is."""
        now = time.monotonic()
        status = self._status(watches)
        if status != self._said:
            self._said = status
            systemd.tell(STATUS=status)
        alive = [watch for watch in watches if not watch.ended.is_set()]
        # A judgement alone would not do: a scheduler that has died leaves a guard that judges old readings for ever.
        if now - self._fed >= _EVERY and all(min(watch.judged, watch.asked) > self._fed for watch in alive):
            self._fed = now
            systemd.tell(WATCHDOG="1")

    def _status(self, watches: Sequence[Watch]) -> str:
        said = [f"{watch.name}: {_words(watch)}" for watch in watches]
        # Every guard of a daemon tells through the same channels, and writes on one tape.
        troubles = watches[0].guard.hands.troubles() if watches else {}
        said += [f"{ailing(name)}: {trouble}" for name, trouble in troubles.items()]
        return self._refused + "; ".join(said)


def _words(watch: Watch) -> str:
    guard = watch.guard
    if watch.ended_because:
        return watch.ended_because
    said = [f"cannot signal: {guard.publisher.trouble}"] if guard.publisher.trouble else []
    said += [_state(state) for state in guard.states.values()]
    if guard.options.observing:
        said.append("observing")
    return ", ".join(said) or ("no migration runs" if guard.dormant else "looking who is here")


def _state(state: State) -> str:
    name = "an unregistered migration" if state.migration == EVERYONE else state.migration
    if state.phase is Phase.RUNNING:
        return f"{name} {state.phase.value}"
    because = state.because if len(state.because) <= _LONGEST_REASON else state.because[:_LONGEST_REASON] + " ..."
    return f"{name} {state.phase.value} since {_clock(state.since_wall)} because {because}"


def _clock(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%H:%M:%SZ")


def _watchdog() -> float | None:
    """Seconds after which systemd takes a silent daemon for dead; None where it does not watch this process."""
    microseconds, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or pid not in {"", str(os.getpid())}:
        return None
    return int(microseconds) / 1e6
