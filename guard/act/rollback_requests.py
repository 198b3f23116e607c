"""Requests for a rollback hook that a service of its own runs: files that the daemon writes and the runner takes.

A request names a run and carries its facts, never a command: what runs is the configuration file's business, which the
daemon's user cannot write. It is taken by a rename (`.claimed`) and withdrawn by one (`.withdrawn`), of which the file
system lets exactly one happen; so what was withdrawn never starts, and nothing starts twice. The files stay, as memory.
"""

from __future__ import annotations

import contextlib
import enum
import fcntl
import json
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from guard.act import hook_runner
from guard.act.hook_files import is_locked

CLAIM_WITHIN = 10.0
"""Seconds: a runner that is there takes a request in about one. A rollback must not come as a surprise much later."""
DIRECTORY = "rollback-requests"
"""Below the state directory; the unit migration-guard-rollback.path looks into it."""
_OTHER_START = 60.0
_LARGEST = 256 * 1024
_NAME = re.compile(r"([A-Za-z][A-Za-z0-9_-]{0,62})\.([0-9]{1,18})\.request")


class Stage(enum.StrEnum):
    """How far a request has come."""

    NONE = "none"
    PENDING = "request"
    CLAIMED = "claimed"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Request:
    """A request that this process has claimed. Its lock is held until `lock` and every copy of it are closed."""

    database: str
    run_id: int
    facts: Mapping[str, object]
    lock: int
    refused: str = ""
    """Why it must not be run all the same; empty where nothing is wrong with it."""


class Requests:
    """The requests below one state directory."""

    def __init__(self, state_directory: Path) -> None:
        self.directory = Path(state_directory) / DIRECTORY

    def stage(self, database: str, run_id: int) -> Stage:
        """Where a run's request stands."""
        # In the order of its life from the end: it may move on between two looks, and never back.
        for stage in (Stage.WITHDRAWN, Stage.CLAIMED, Stage.PENDING, Stage.CLAIMED, Stage.WITHDRAWN):
            if self._path(database, run_id, stage).exists():
                return stage
        return Stage.NONE

    def running(self, database: str, run_id: int) -> bool:
        """Whether the process that claimed it, or the hook's supervisor, is alive."""
        return is_locked(self._path(database, run_id, Stage.CLAIMED))

    # -- the daemon's end ----------------------------------------------------------------------------------------------

    def ask(self, database: str, run_id: int, facts: Mapping[str, object]) -> None:
        """Put a request where the runner finds it, whole. Raises OSError, ValueError."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        asked = {"asked": time.clock_gettime(time.CLOCK_BOOTTIME), "wall": time.time()}
        content = {"facts": dict(facts), **asked}
        hook_runner.write(self._path(database, run_id, Stage.PENDING), json.loads(json.dumps(content, default=str)))

    def overdue(self, database: str, run_id: int) -> bool:
        """Whether a pending request is older than a runner takes to claim it."""
        try:
            return _too_old(json.loads(self._path(database, run_id, Stage.PENDING).read_text()))
        except FileNotFoundError:
            return False
        except (OSError, ValueError):
            return True

    def withdraw(self, database: str, run_id: int) -> bool:
        """Take a pending request back so that it can never start; False where it was not pending any more."""
        try:
            self._path(database, run_id, Stage.PENDING).rename(self._path(database, run_id, Stage.WITHDRAWN))
        except FileNotFoundError:
            return False
        return True

    # -- the runner's end ----------------------------------------------------------------------------------------------

    def claim(self) -> Iterator[Request]:
        """Claim what is pending, one after the other; who looks again at once finds none of these. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            for path in sorted(self.directory.iterdir()):
                match = _NAME.fullmatch(path.name)
                if match is None:
                    _put_aside(path)
                elif request := self._claim(match[1], int(match[2])):
                    yield request

    def _claim(self, database: str, run_id: int) -> Request | None:
        pending = self._path(database, run_id, Stage.PENDING)
        try:
            # A link or a pipe in its place would lead elsewhere or hang; only a file is claimed with its lock.
            fd = os.open(pending, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError:
            self.withdraw(database, run_id)
            return None
        # Before the rename: a claimed request without a lock is one whose runner has died.
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            pending.rename(self._path(database, run_id, Stage.CLAIMED))
        except FileNotFoundError:
            os.close(fd)
            return None
        facts, refused = _read(fd)
        if not refused and facts.get("run_id") != run_id:
            refused = "the request is for another run than its name says"
        return Request(database, run_id, facts, fd, refused)

    def _path(self, database: str, run_id: int, stage: Stage) -> Path:
        return self.directory / f"{database}.{run_id}.{stage}"


def _put_aside(path: Path) -> None:
    # The path unit starts the runner for as long as there is any such file.
    if path.name.endswith(f".{Stage.PENDING}"):
        path.rename(path.with_name(path.name + ".refused"))


def _read(fd: int) -> tuple[Mapping[str, object], str]:
    """The facts of a claimed request, and what is wrong with it."""
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        return {}, "the request is not a regular file"
    text = os.read(fd, _LARGEST + 1)
    try:
        content = json.loads(text)
        facts = content["facts"]
        if len(text) > _LARGEST or not isinstance(facts, dict):
            return {}, "the request cannot be read"
        if _too_old(content):
            return facts, f"its request is older than {CLAIM_WITHIN:g} s"
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}, "the request cannot be read"
    return facts, ""


def _too_old(content: dict[str, object]) -> bool:
    """By the clock that counts from the start of the machine, also through a sleep, since wall time may be set.

    Another start of the machine betrays itself by that clock running back, or else by wall time; the sandbox hides the
    boot id. In doubt it is too old, which is told: a rollback must not come as a surprise.
    """
    asked, wall = content.get("asked"), content.get("wall")
    if not isinstance(asked, int | float) or not isinstance(wall, int | float):
        return True
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - asked
    return not 0 <= age <= CLAIM_WITHIN or abs(time.time() - wall) > _OTHER_START
