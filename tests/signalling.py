"""The guard's pen in the hands of a test: control tables, and what they are given to write."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from guard.act.control_table import ControlTable
from guard.act.own_term import OwnTerm
from guard.model import Event, Order, OrderKind, Phase, Run, State
from guard.ports import Publication
from guard.postgres import WAITING, Door
from guard.records import state_to_dict
from tests.shipped import as_guard

T = TypeVar("T")


def control_table(dsn: str, *, guard_id: str = "g", own: OwnTerm | None = None, **signal: Any) -> ControlTable:
    """One as the guard has it; *signal* as of the Door that it leads by."""
    waiting = Door(dsn, purpose="claim", settings=WAITING)
    return ControlTable(Door(dsn, purpose="signal", **signal), waiting, guard_id=guard_id, lease_seconds=10, own=own)


def play(
    *dsns: str, work: Callable[..., Awaitable[T]], guard_ids: tuple[str, ...] = ("g1", "g2"), own: OwnTerm | None = None
) -> T:
    """Run *work* with a control table for each connection string."""

    async def act() -> T:
        tables = [
            control_table(as_guard(dsn), guard_id=guard_id, own=own)
            for dsn, guard_id in zip(dsns, guard_ids, strict=False)
        ]
        try:
            return await work(*tables)
        finally:
            for table in tables:
                await table.close()

    return asyncio.run(act())


def publication(kind: OrderKind = OrderKind.PROCEED, *, mode: str = "live", **more: Any) -> Publication:
    return Publication(mode, orders={"m": Order(kind, "for a test", 1.0)}, rests_for=0.0, **{"epoch": 1, **more})


def state(run_id: int, phase: Phase, because: str = "lag 9 s > 5 s") -> State:
    return State("m", run_id, phase, because, 1234.5, cancels=1, well_before=("a", "b"))


def event(run_id: int, phase: Phase) -> Event:
    return Event("paused", "m", run_id, "because", phase.value, {"state": state_to_dict(state(run_id, phase))})


def run_of(run_id: int) -> Run:
    return Run(run_id, "m", None, 0.0, 0.0)
