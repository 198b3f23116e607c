"""How many hosts of a database say that they are its primary. Looking is also what turns the guard to a new one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from guard.errors import ServerError
from guard.model import Reading
from guard.poll.samples import silences, words
from guard.ports import Observation
from guard.postgres import Hosts, Seen

SENSOR = "database.primaries"


class HostsProbe:
    """Reads `database.primaries`, a count, with the hosts and their timelines in words.

    A host that does not answer says nothing of itself and is not counted: an old primary that was switched off must
    not keep migrations waiting. Cheap, since a failover must be seen although nobody migrates.
    """

    cheap = True

    def __init__(self, hosts: Hosts, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = "hosts"
        self._hosts = hosts
        self._now = clock

    async def poll(self) -> Observation:
        """One round trip to each host, all at once."""
        asked = self._now()
        try:
            seen = await self._hosts.look()
        except ServerError as error:
            return self.silence(words(error), self._now())
        if all(each.trouble for each in seen):
            return self.silence(f"no host answers: {self._hosts.described(seen)}", self._now())
        primaries = self._hosts.primaries(seen)
        detail = said(primaries) if len(primaries) == len(seen) else f"{said(primaries)}; {self._rest(seen, primaries)}"
        return Observation((Reading(SENSOR, float(len(primaries)), asked, detail),))

    def _rest(self, seen: Sequence[Seen], primaries: Sequence[Seen]) -> str:
        """The others in few words: they stand in every reason, and `check` has the whole error."""
        others = [each for each in seen if each not in primaries]
        return "; ".join(
            f"{each.address.name} does not answer" if each.trouble else self._hosts.described([each]) for each in others
        )

    def silence(self, why: str, now: float) -> Observation:
        """Nobody can say."""
        return silences((SENSOR,), why, now)

    async def close(self) -> None:
        """Close the connections to the hosts."""
        await self._hosts.close()


def said(primaries: Sequence[Seen]) -> str:
    """`two primaries: db1 (timeline 5), db2 (timeline 6)`."""
    names = ", ".join(each.words for each in primaries)
    if not primaries:
        return "no primary"
    count = {1: "one primary", 2: "two primaries", 3: "three primaries"}
    return f"{count.get(len(primaries), f'{len(primaries)} primaries')}: {names}"
