"""The rollback hook in a service of its own: the daemon's half asks for it, the runner's half runs it.

So a restart of the daemon cannot touch the hook, the hook does not live in the daemon's sandbox, and a daemon that
somebody broke into cannot choose what runs. Both halves share the state directory; nothing else passes between them.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from guard.act.hook_files import HookFiles
from guard.act.rollback_hook import GRACE, MARGIN, RollbackHook, end_of
from guard.act.rollback_requests import CLAIM_WITHIN, Request, Requests, Stage
from guard.errors import GuardError, HookError
from guard.ports import HookOutcome

_NOBODY = (
    f"not started: nobody took the request within {CLAIM_WITHIN:g} s, and it was withdrawn; "
    "is the rollback unit active? (systemctl enable --now migration-guard-rollback.path)"
)
_ENDED = "not started: the rollback unit took the request and ended before it began"
HookOf = Callable[[str, str], RollbackHook]
"""(database, migration) to the hook that the configuration names. Raises HookError, GuardError."""


class RollbackByUnit:
    """A rollback hook that a service of its own runs; implements guard.ports.Hook.

    *command* and *timeout* (s) are only told and waited for: the runner takes its own from the configuration file.
    *state_directory* is the daemon's, that of the results is below it as for RollbackHook.
    """

    def __init__(
        self, command: Sequence[str], *, timeout: float, state_directory: Path, database: str, files: HookFiles
    ) -> None:
        self.command = tuple(command)
        self.timeout = timeout
        self._database = database
        self._requests = Requests(state_directory)
        self._files = files

    async def run(self, facts: Mapping[str, object]) -> HookOutcome:
        """Ask for the hook and wait for its end; where it was asked for before, only wait. Raises nothing."""
        run_id = facts.get("run_id")
        if not isinstance(run_id, int):
            return HookOutcome(ok=False, words="not started: the facts name no run")
        try:
            if not self.begun(run_id):
                self._requests.ask(self._database, run_id, facts)
        except (OSError, ValueError) as error:
            return HookOutcome(ok=False, words=f"could not be started: {error}")
        return await end_of(self, run_id, within=CLAIM_WITHIN + self.timeout + GRACE + MARGIN)

    def begun(self, run_id: int) -> bool:
        """Whether the hook of a run was asked for from here."""
        return self._requests.stage(self._database, run_id) is not Stage.NONE or self._files.start(run_id).exists()

    def last_outcome(self, run_id: int) -> HookOutcome | None:
        """How the hook ended for a run; None where it was not started or is still at work.

        A request that nobody has taken in time is withdrawn here, also by a daemon that has only just started.
        """
        # Running is asked for first: the runner writes the start file, and the result, before its lock goes.
        running = self._requests.running(self._database, run_id)
        if outcome := self._files.outcome(run_id):
            return outcome
        if running or self._files.running(run_id):
            return None
        match self._requests.stage(self._database, run_id):
            case Stage.PENDING if self._requests.overdue(self._database, run_id):
                taken_back = self._requests.withdraw(self._database, run_id)
                return HookOutcome(ok=False, words=_NOBODY) if taken_back else None
            case Stage.WITHDRAWN:
                return HookOutcome(ok=False, words=_NOBODY)
            case Stage.CLAIMED if not self._requests.running(self._database, run_id):
                return self._files.outcome(run_id) or HookOutcome(ok=False, words=_ENDED)
            case _:
                return None


async def serve_requests(requests: Requests, hook_of: HookOf, *, stopping: asyncio.Event) -> int:
    """Run the hook of each request, side by side, until none is left or *stopping* is set; how many were taken.

    A hook that runs is waited for in any case.
    """
    taken = 0
    running: set[asyncio.Task[None]] = set()
    while True:
        for request in () if stopping.is_set() else requests.claim():
            taken += 1
            running.add(asyncio.create_task(_carry_out(request, requests, hook_of)))
        if not running:
            return taken
        _, running = await asyncio.wait(running, timeout=0.1)


async def _carry_out(request: Request, requests: Requests, hook_of: HookOf) -> None:
    files = files_of(requests.directory.parent, request.database)
    try:
        try:
            if request.refused:
                raise HookError(request.refused)
            hook = hook_of(request.database, str(request.facts.get("migration")))
            await hook.launch(request.run_id, request.facts, survivors="end with the rollback unit", lock=request.lock)
        except (GuardError, OSError, ValueError) as error:
            if not files.start(request.run_id).exists():
                files.refuse(request.run_id, f"not started by the rollback unit: {error}")
        while files.running(request.run_id):  # noqa: ASYNC110 -- the lock of another process rings no bell
            await asyncio.sleep(0.1)
    finally:
        os.close(request.lock)


def files_of(state_directory: Path, database: str) -> HookFiles:
    """Start and result files of one database: run ids are counted in each, and a hook never runs twice for one."""
    return HookFiles(state_directory / f"rollback-{quote(database, safe='')}")
