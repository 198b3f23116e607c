"""The hosts of one database: each is asked what it is, and the primary with the highest timeline leads.

It reads no table of ours and pauses nobody: who has something to say to the host that is left is called before.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from guard.errors import ServerError, Unreachable, WrongServer
from guard.postgres.address import Address, addresses
from guard.postgres.backoff import Arrivals, Backoff
from guard.postgres.company import Company, Leave, say_leave
from guard.postgres.door import Door
from guard.postgres.prepared import PreparedDoor
from guard.sql import get

log = logging.getLogger(__name__)

LONGEST_DELAY = 5.0
"""Seconds between two tries to reach a silent host: it may come back as the primary, and logs whom it refuses."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a host last said of itself."""

    address: Address
    trouble: str = ""
    """Why it says nothing now, in words; what it said before stands in the other fields."""
    pooled: bool = False
    standby: bool = False
    timeline: str = ""
    """Eight hexadecimal digits; of a standby, the one that it replays as far as is known."""
    system: int = 0
    """The cluster's identifier; 0 while it has never answered."""
    started: str = ""
    """When its server was started: with the identifier it tells whether two names lead to one server."""

    @property
    def claims(self) -> bool:
        """It said last that it is a primary, whether or not it answers now."""
        return bool(self.system) and not self.standby

    @property
    def primary(self) -> bool:
        return self.claims and not self.trouble

    @property
    def words(self) -> str:
        """`db1 (timeline 5)`."""
        return f"{self.address.name} (timeline {int(self.timeline, 16)})"


class Hosts:
    """All hosts of *conninfo*, and which of them leads. Each is asked on a connection of its own, kept open.

    *deadline* is in seconds; a host that does not answer within half of it is silent, and is not waited for from then
    on until it answers. With one host nothing is asked, and doors are as without this.

    Raises WorldError where *conninfo* cannot be parsed.
    """

    def __init__(self, conninfo: str, *, deadline: float = 2.0) -> None:
        self._conninfo = conninfo
        self._bound = deadline / 2
        self._addresses = addresses(conninfo)
        self._doors = [
            Door(each.conninfo, purpose="hosts", deadline=deadline, backoff=Backoff(Arrivals(), LONGEST_DELAY))
            for each in self._addresses
        ]
        self._seen: list[Seen | None] = [None] * len(self._addresses)
        self._asking: dict[int, asyncio.Task[Seen]] = {}
        self._looking: asyncio.Task[tuple[Seen, ...]] | None = None
        self._leader: Seen | None = None
        self._missed = False
        """No host led when they were asked last: doors have begun to wait longer and longer."""
        self._arrivals = Arrivals()
        self._led_to: weakref.WeakSet[Door] = weakref.WeakSet()
        self.before_leaving: list[Leave] = []
        """Called with the reason, each for a second at most, before the doors turn from one host to another."""
        self._company = None if self.several else Company(self.before_leaving)

    @property
    def several(self) -> bool:
        """Whether there is anything to choose."""
        return len(self._addresses) > 1

    def door(self, purpose: str, *, prepared: bool = False, leads: bool = False, **options: Any) -> Door:
        """A door of this database: it leads to the host that leads, and turns with it. *options* as of Door.

        *prepared*: for one that asks the same again and again. *leads*: where there is one host, all others keep to the
        server that this door leads to.
        """
        door = (PreparedDoor if prepared else Door)(
            self._conninfo,
            purpose=purpose,
            route=self if self.several else None,
            backoff=Backoff(self._arrivals),
            **options,
        )
        door.company = self._company
        if leads and self._company is not None:
            self._company.follow(door)
        return door

    async def choose(self, door: Door, end: float) -> Address:
        """The host that leads. Raises Unreachable while there is none, WrongServer where none can ever be."""
        self._led_to.add(door)
        try:
            async with asyncio.timeout_at(end):
                seen = await self.look()
        except TimeoutError:
            raise Unreachable(f"{door.purpose}: no host has said in time whether it leads.") from None
        leader = self._leader
        now = next((each for each in seen if leader is not None and each.address == leader.address), None)
        if now is not None and now.primary:
            return now.address
        words = f"{door.purpose}: no host leads: {self.described(seen)}."
        raise (Unreachable if any(each.trouble and not each.pooled for each in seen) else WrongServer)(words)

    async def look(self) -> tuple[Seen, ...]:
        """Ask every host; who asks meanwhile gets the same answer. Turns the doors where another host leads now."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="hosts")
        looking = self._looking
        await asyncio.wait({looking})  # and not the task itself: who gives up must not take the others' answer away
        if looking.cancelled():
            raise Unreachable("hosts: closed while they were asked.")
        return looking.result()

    def described(self, seen: Iterable[Seen]) -> str:
        """Each host in words."""
        return "; ".join(self._described(each) for each in seen)

    def primaries(self, seen: Iterable[Seen]) -> tuple[Seen, ...]:
        """Those that say now that they are the primary of this cluster; a server with two names once."""
        seen = tuple(seen)
        home = self._home(seen)
        found = {(each.system, each.started): each for each in reversed(seen) if each.primary and each.system == home}
        return tuple(reversed(found.values()))

    async def close(self) -> None:
        """Let go of the connections; a later look opens new ones."""
        tasks = [*self._asking.values(), *([self._looking] if self._looking else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._asking.clear()
        await asyncio.gather(*(door.close() for door in self._doors))

    # -- asking --------------------------------------------------------------------------------------------------------

    async def _look(self) -> tuple[Seen, ...]:
        for index in range(len(self._doors)):
            if index not in self._asking:
                self._asking[index] = asyncio.create_task(self._ask(index), name="hosts")
        heard = [each is None or not each.trouble for each in self._seen]
        expected = [task for index, task in self._asking.items() if heard[index] or not any(heard)]
        await asyncio.wait(expected, timeout=self._bound)
        for index, task in tuple(self._asking.items()):
            if task.done():
                self._seen[index] = task.result()
                del self._asking[index]
            elif heard[index]:
                self._seen[index] = self._silent(index, f"no answer within {self._bound:g} s")
        seen = tuple(each for each in self._seen if each is not None)
        await self._follow(seen)
        return seen

    async def _ask(self, index: int) -> Seen:
        door = self._doors[index]
        try:
            await door.connect(at_once=False)
            [(standby, timeline, system, started)] = await door.fetch(get("hosts_look"))
        except (ServerError, WrongServer) as error:
            return self._silent(index, str(error).removeprefix("hosts: "), pooled=isinstance(error, WrongServer))
        except Exception as error:
            # A host that answers rubbish must not keep the others from being looked at.
            log.exception("host %s failed in an unforeseen way", self._addresses[index].name)
            return self._silent(index, f"it failed: {type(error).__name__}")
        return Seen(self._addresses[index], "", False, standby, timeline, system, started)

    def _silent(self, index: int, why: str, *, pooled: bool = False) -> Seen:
        known = self._seen[index] or Seen(self._addresses[index])
        return Seen(known.address, why, pooled, known.standby, known.timeline, known.system, known.started)

    # -- choosing ------------------------------------------------------------------------------------------------------

    def _home(self, seen: Iterable[Seen]) -> int:
        """The identifier of the cluster that is guarded: the leader's, else that of most hosts."""
        if self._leader is not None:
            return self._leader.system
        counted = Counter(each.system for each in seen if each.system)
        return counted.most_common(1)[0][0] if counted else 0

    def _best(self, seen: tuple[Seen, ...]) -> Seen | None:
        """Who leads by what all have said; None where nobody does.

        A host that was seen to lead on a higher timeline and is silent now is waited for: who is left behind it is an
        old primary, whose every commit would be lost.
        """
        home = self._home(seen)
        ours = [each for each in seen if each.system == home and each.claims]
        best = max(ours, key=lambda each: each.timeline, default=None)
        equal = [each for each in ours if best is not None and each.timeline == best.timeline and each.primary]
        leading = [each for each in equal if self._leader is not None and each.address == self._leader.address]
        return next(iter(leading or equal), None)

    async def _follow(self, seen: tuple[Seen, ...]) -> None:
        best, before = self._best(seen), self._leader
        if best is None:
            self._missed = True
            return
        if before is not None and before.address != best.address:
            words = f"{best.words} leads now, and no longer {before.words}"
            await say_leave(self.before_leaving, words)
        turned = self._missed or before is None or before.address != best.address
        self._leader, self._missed = best, False
        for door in self._led_to if turned else ():
            door.lead_to(best.address)

    def _described(self, each: Seen) -> str:
        name, home = each.address.name, self._leader.system if self._leader else 0
        if each.trouble:
            was = f" (it led on timeline {int(each.timeline, 16)} when it was last heard)" if each.claims else ""
            return f"{name}: {each.trouble}{was}"
        if home and each.system != home:
            return f"{name} belongs to another cluster"
        return f"{name} is a standby" if each.standby else f"{each.words} is a primary"
