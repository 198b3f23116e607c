"""Who is here: registered runs, sessions that look like a migration's, and what operators ordered."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from guard import sql
from guard.errors import ServerError
from guard.model import Fence, OperatorOrder, Roster, Run, Session
from guard.poll.samples import NOT_PERMITTED, Recognition, silences, words
from guard.ports import Observation
from guard.postgres import Door

SENSOR = "roster"


@dataclass(frozen=True, slots=True)
class _Seen:
    permitted: bool
    server_wall: float
    runs: list[dict[str, Any]]
    strangers: list[dict[str, Any]]
    operator_orders: list[dict[str, Any]]
    forgotten: list[tuple[str, int]]


class RosterProbe:
    """Reads the roster. Where it cannot, there is none: a guard that cannot see sessions must not think them gone.

    A run that ended is shown for *ended_within* seconds more, and at least once however long nobody looked. The
    sensor `roster` holds the reason while the roster cannot be read.
    """

    cheap = True

    def __init__(
        self,
        door: Door,
        recognition: Recognition,
        *,
        ended_within: float = 900.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = "roster"
        self._door = door
        self._recognition = recognition
        self._ended_within = ended_within
        self._open: list[int] = []
        self._now = clock

    async def poll(self) -> Observation:
        """One round trip."""
        asked = self._now()
        params = {**self._recognition.params, "ended_within": self._ended_within, "open": self._open}
        try:
            (seen,) = await self._door.fetch_as(_Seen, sql.get("poll_roster"), params)
        except ServerError as error:
            return self.silence(words(error), self._now())
        if not seen.permitted:
            return self.silence(NOT_PERMITTED, asked)
        runs = tuple(_run(row) for row in seen.runs)
        self._open = [run.run_id for run in runs if run.outcome is None]
        return Observation(
            roster=Roster(
                runs=runs,
                strangers=tuple(Session(**row) for row in seen.strangers),
                operator_orders=tuple(OperatorOrder(**row) for row in seen.operator_orders),
                forgotten=tuple((migration, upto) for migration, upto in seen.forgotten),
                taken_at=asked,
                server_wall=seen.server_wall,
            )
        )

    def silence(self, why: str, now: float) -> Observation:
        """No roster; the last one stays on the board, with its age."""
        return silences((SENSOR,), why, now)

    async def close(self) -> None:
        """Close the probe's connection."""
        await self._door.close()


def _run(row: dict[str, Any]) -> Run:
    session, fence, members = row.pop("session"), row.pop("fence"), row.pop("members")
    return Run(
        session=Session(**session) if session else None,
        fence=Fence(**fence) if fence else None,
        members=tuple(Session(**member) for member in members),
        **row,
    )
