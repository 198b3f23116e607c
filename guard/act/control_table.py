"""The control table: leads a database by lock and term, beats, writes orders, remembers. Fulfils guard.ports.Signal.

It decides nothing, and opens no second session by itself: a signal connection that broke has lost the leader's lock, so
the caller has to lead anew.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from guard.act.leading import LeaderLock, check_world, explained
from guard.act.own_term import OwnTerm
from guard.errors import Fenced, QueryFailed, Unreachable
from guard.model import Notice, OperatorOrder, Order, OrderKind, Run, State
from guard.ports import RECENTLY, Done, Leadership, Publication
from guard.postgres import Door
from guard.records import event_to_dict, notice_from_dict, operator_order_from_dict, state_from_dict
from guard.sql import get

_PASSED, _NOT_LEADING, _TOO_LATE = "MG004", "MG005", "MG006"
_CLAIM_DEADLINE = 10.0
"""Seconds for the claim of a rollback to reach the standbys that commits have to wait for."""


class ControlTable:
    """The guard's pen in schema migration_guard, on one session of its own.

    *door* must be used by nobody else: its session holds the leader's lock. *waiting* leads to the same server, by
    sessions whose commits wait for the synchronous standbys; it is opened for the claim of a rollback alone.
    *guard_id* names this guard across restarts: whoever comes with the same one is taken for the same guard, and ends
    its old session once nobody is at its other end; *own* knows its last term. *lease_seconds* is for how long
    migrations may go on after a beat.
    """

    def __init__(
        self, door: Door, waiting: Door, *, guard_id: str, lease_seconds: float, own: OwnTerm | None = None
    ) -> None:
        self._door = door
        self._waiting = waiting
        self._guard_id = guard_id
        self._lease = lease_seconds
        self._lock = LeaderLock(door, guard_id, own)
        self._term = 0
        self._led_generation: int | None = None
        self._said: Publication | None = None
        """What was published last under this term."""
        self._left = False
        self._clock = (0.0, 0.0)
        """What the server's clock said, in Unix seconds, and when by the loop's time it was asked."""

    @property
    def usable(self) -> bool:
        """Whether the session that led is there, as far as is known without asking."""
        return self._led_generation == self._door.generation and self._door.connected

    async def lead(self) -> Leadership:
        """Take the leader's lock and a new term, and read what the guard before knew.

        Raises WrongServer (a standby, a pooler, a copied schema), NotInstalled, HeldByAnother (under our own id too,
        where that guard is at work), Fenced (another process of the same id has come since this one led), ServerError.
        """
        self._led_generation, self._said = None, None
        await self._door.connect()
        self._left = False  # on the way here another host may have been found to lead
        home, place = await check_world(self._door)
        term = await self._lock.take()
        self._term, self._led_generation = term, self._door.generation
        asked = asyncio.get_running_loop().time()
        [(epoch, last_event_id, clock)] = await self._door.fetch(get("control_memory"))
        self._clock = (clock, asked)
        states = await self._door.fetch(get("control_states"))
        recent = await self._door.fetch_as(Done, get("control_recent"), {"seconds": RECENTLY})
        return Leadership(term, epoch, _readable(row[0] for row in states), last_event_id, home, place, tuple(recent))

    async def publish(self, publication: Publication) -> int:
        """Write all of *publication* in one transaction; the last event's id, or 0.

        Raises Fenced where the term was passed, Unreachable where the session that led is gone, else ServerError.
        """
        if self._left:  # what waited for its turn behind the last word must not come after it
            raise Unreachable("signal: another host leads since a moment ago.")
        return await self._say(publication)

    async def _say(self, publication: Publication) -> int:
        asked = asyncio.get_running_loop().time()
        server, then = self._clock
        judged = asked if publication.judged_at is None else publication.judged_at
        [(last, clock)] = await self._write(
            "control_publish",
            # By the server's clock. What was given up may be delivered yet, when the line or the server has thawed.
            not_after=server + (judged - then) + self._door.deadline,
            mode=publication.mode,
            epoch=publication.epoch,
            orders=_dump({name: _order(order) for name, order in publication.orders.items()}),
            lease=self._lease,
            # An old reading shortens the lease, but never by more than half: from some age on its rule calls it
            # unknown, and a source that is old by nature must not keep every migration without a lease.
            rests_for=min(publication.rests_for, self._lease / 2),
            events=_dump([event_to_dict(event) for event in publication.events]),
            admitted=list(publication.admitted),
            barred=_dump([list(entry) for entry in publication.barred]),
            report=None if publication.report is None else _dump(dict(publication.report)),
        )
        self._said, self._clock = publication, (clock, asked)
        return int(last)

    async def still_leads(self) -> None:
        """Ask the server whether this session leads; writes nothing. Whoever wonders if we live sees that we asked.

        Raises Unreachable where it does not, else ServerError.
        """
        asked = asyncio.get_running_loop().time()
        [(leads, clock)] = await self._write("control_still")
        # Two clocks drift apart by seconds in a night.
        self._clock = (clock, asked)
        if leads is not True:
            self._led_generation = None
            raise Unreachable("signal: this session does not lead any more.")

    async def leave(self, because: str) -> None:
        """The last word to a server that another one has overtaken: whoever is still connected there waits.

        A guard that only observes has ordered nothing and orders nothing now. Raises Fenced, ServerError.
        """
        said, self._said, self._left = self._said, None, True
        if said is None or said.mode == "observing" or self._led_generation is None:
            return
        held = {
            name: order if order.kind > OrderKind.PROCEED else Order(OrderKind.PAUSE, because, order.since_wall)
            for name, order in said.orders.items()
        }
        await self._say(Publication("live", said.epoch + 1, held, rests_for=0.0))
        self._led_generation = None

    async def notices_since(self, event_id: int) -> tuple[Notice, ...]:
        """Notices that events after *event_id* carry, oldest first; those of a version nobody can read are left out."""
        found = []
        for (record,) in await self._door.fetch(get("control_notices"), {"since": event_id}):
            try:
                found.append(notice_from_dict(record))
            except ValueError:
                continue
        return tuple(found)

    async def told_orders(self) -> tuple[OperatorOrder, ...]:
        """Operators' orders in the last report; one of a version that nobody can read is told once more."""
        found = []
        for (record,) in await self._door.fetch(get("control_told")):
            try:
                found.append(operator_order_from_dict(record))
            except ValueError:
                continue
        return tuple(found)

    async def claim_rollback(self, run: Run, because: str, command: Sequence[str]) -> bool:
        """Claim the one rollback of *run*, as durably as the server can; False where it was claimed before.

        A ServerError means that nobody knows whether the claim outlasts a failover: ask a human.
        """
        [(claimed, waits, _)] = await self._write(
            "control_claim",
            run=run.run_id,
            name=run.migration,
            because=_clean(because),
            command=[_clean(word) for word in command],
        )
        if claimed and waits:
            await self._outlast(run.run_id)
        return bool(claimed)

    async def _outlast(self, run_id: int) -> None:
        """Wait until the standbys that commits have to wait for have the claim; beats go on meanwhile."""
        claim = {"run": run_id, "term": self._term}
        try:
            kept = await self._waiting.fetch(get("control_claim_kept"), claim, deadline=_CLAIM_DEADLINE)
        finally:
            await self._waiting.close()
        if not kept:
            raise Unreachable("claim: another server answered than the one that the claim was written on.")

    async def finish_rollback(self, run_id: int, outcome: str, detail: str) -> None:
        """Write down how the rollback of a run ended; the first word about it stays."""
        await self._write("control_finish", run=run_id, outcome=_clean(outcome), detail=_clean(detail))

    async def prune(self, keep_seconds: float) -> int:
        """Drop events older than *keep_seconds* (a day at least); says how many."""
        [(pruned,)] = await self._door.fetch(get("control_prune"), {"keep": keep_seconds})
        return int(pruned)

    async def close(self) -> None:
        """Give up the leader's lock with its session."""
        self._led_generation = None
        await self._waiting.close()
        await self._door.close()

    # -- writing ---------------------------------------------------------------------------------------

    async def _write(self, query: str, **params: object) -> list[tuple[Any, ...]]:
        if not self.usable:
            raise Unreachable("signal: the session that led is gone, and the leader's lock with it.")
        params |= {"guard_id": self._guard_id, "term": self._term}
        try:
            return await self._door.fetch(get(query), params)
        except QueryFailed as error:
            if error.sqlstate == _PASSED:
                self._led_generation = None
                raise Fenced(f"A newer guard leads this database: term {self._term} was passed.") from error
            if error.sqlstate == _NOT_LEADING:
                self._led_generation = None
                raise Unreachable("signal: this session does not lead.", error.sqlstate) from error
            if error.sqlstate == _TOO_LATE:
                # It was not held up, else nobody would hear this: the server's clock was set, or ours stood still.
                self._led_generation = None
                words = "signal: too late: this process stood still, or the server's clock was set; leading anew."
                raise Unreachable(words, error.sqlstate) from error
            raise await explained(self._door, error) from error


def _order(order: Order) -> dict[str, object]:
    return {"kind": order.kind.word, "because": order.because, "since": order.since_wall}


def _readable(records: Any) -> tuple[State, ...]:
    states = []
    for record in records:
        try:
            states.append(state_from_dict(record))
        except ValueError:  # of a version that nobody can read any more: the run starts as if it were new
            continue
    return tuple(states)


def _dump(value: object) -> str:
    return json.dumps(_tidy(value), allow_nan=False)


def _tidy(value: object) -> object:
    """What PostgreSQL takes as jsonb: no NUL, no half of a surrogate pair, no NaN: no order may fail for a text."""
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {_clean(str(key)): _tidy(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_tidy(item) for item in value]
    return value if isinstance(value, bool | int | float | None) else _clean(str(value))


def _clean(text: str) -> str:
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")
