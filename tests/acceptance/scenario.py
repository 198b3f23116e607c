"""A small language over the house: what fails when, and what must be so by then, a line each.

Time zero is when batches flow. Faults are named things (`standby`, `walreceiver`, `replay`, `primary`, `guard`,
`migration`, `line`); each ends with the test. Every wait has a deadline, and says what it waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Self

from guard.demo.embedded import Cluster
from guard.demo.proxy import Proxy
from guard.demo.server import Server
from tests.acceptance.house import FRESH_FOR, NOISE, House, Migrating, Process
from tests.fix_matrix import Took
from tests.waiting import wait_for

Thing = Literal["standby", "primary", "guard", "migration"]


@dataclass
class Play:
    """One scenario. *begin* starts the guard and the migration; the first verb does so where the test has not."""

    house: House
    cluster: Cluster
    proxy: Callable[[int], Proxy]
    took: Took
    guard: Process | None = None
    migration: Migrating | None = None
    zero: float = 0.0
    """Wall time at which batches flowed."""
    fault_at: float = 0.0
    """Wall time of the latest fault or healing: what `within` counts from."""
    line: Proxy | None = None
    _paused: int = 0
    _receiver: int = 0

    # -- the course ----------------------------------------------------------------------------------------------------

    def begin(self, **options: Any) -> Self:
        """Start the guard, over a line of its own, then the migration; zero is now."""
        self.line = self.proxy(self.house.database.server.port)
        self.house.dsn = self.line.dsn(self.house.database.dsn("guard_login"))
        self.guard = self.house.serve()
        self.migration = self.house.wait_migrating(**options)
        self.zero = self.fault_at = time.time()
        return self

    def at(self, seconds: float) -> Self:
        """Go on at this time of the play."""
        if not self.zero:
            self.begin()
        time.sleep(max(0.0, self.zero + seconds - time.time()))
        return self

    @property
    def now(self) -> float:
        """Seconds since zero."""
        return time.time() - self.zero

    # -- faults --------------------------------------------------------------------------------------------------------

    def freeze(self, thing: Thing | Literal["walreceiver", "replay", "line"]) -> Self:
        """It stops where it stands, and breaks no connection."""
        match thing:
            case "walreceiver":
                self._receiver = self._receiver or self.cluster.standby.walreceiver_pid()
                return self._fault(lambda: self.cluster.standby.freeze(self._receiver))
            case "replay":
                return self._fault(self.cluster.standby.pause_replay)
            case "line":
                return self._fault(lambda: self._line().freeze())
            case _:
                return self._fault(lambda: self._who(thing).freeze())

    def thaw(self, thing: Thing | Literal["walreceiver", "replay", "line"]) -> Self:
        """It goes on."""
        match thing:
            case "walreceiver":
                return self._fault(lambda: self.cluster.standby.thaw(self._receiver))
            case "replay":
                return self._fault(self.cluster.standby.resume_replay)
            case "line":
                return self._fault(lambda: self._line().heal())
            case _:
                return self._fault(lambda: self._who(thing).thaw())

    def kill(self, thing: Thing) -> Self:
        """SIGKILL."""
        return self._fault(lambda: self._who(thing).kill())

    def start(self, thing: Thing) -> Self:
        """Start again what was killed."""
        if thing == "guard":
            self.guard = self.house.serve()
        elif thing == "migration":
            self.migration = self.house.migrate()
        else:
            self._servers()[thing].start()
        return self._fault(lambda: None)

    def restart(self, thing: Literal["standby", "primary"], mode: Literal["fast", "immediate"] = "fast") -> Self:
        """Stop a server as its administrator would, and start it."""
        return self._fault(lambda: self._servers()[thing].restart(mode))

    def cut(self) -> Self:
        """Reset the guard's connections, and each new one, until the line is thawed."""
        return self._fault(lambda: self._line().cut())

    def load(self, value: float) -> Self:
        """What the application's endpoint says from now on."""
        return self._fault(lambda: self.house.load(value))

    def sql(self, statement: str) -> Self:
        """Somebody runs a statement as the superuser."""
        return self._fault(lambda: self.house.database.execute(statement.encode()))

    def happens(self, fault: Callable[[], object]) -> Self:
        """A fault of the test's own."""
        return self._fault(fault)

    # -- what must be so -----------------------------------------------------------------------------------------------

    def paused(self, within: float, because: str = "") -> Self:
        """The migration was told to pause at most so long after the latest fault, for this reason."""
        _, at, words = self.house.wait_event("paused", self._paused + 1, within=within + 5)
        self._paused += 1
        self._note("paused", at, within)
        assert because in words, words
        return self

    def proceeds(self, within: float) -> Self:
        """Batches begin again at most so long after the latest fault or healing."""
        migration = self._migration()
        self.house.wait_order("proceed", migration.name, within=within + 5)
        # A batch that an answer from before the pause still allowed is no proof that the pause has ended.
        since = max(self.fault_at, time.time())
        first = wait_for(
            lambda: [at for at in migration.starts if at > since],
            within=within + 5,
            message=lambda: f"a batch; events: {self.house.events()}\n{migration.text()[-2000:]}",
        )[0]
        self._paused = len(self.house.events("paused"))
        self._note("a batch", first, within)
        return self

    def holds(self, within: float) -> Self:
        """No batch has begun later than so long after the latest fault, up to now; waits until then."""
        time.sleep(max(0.0, self.fault_at + within + FRESH_FOR - time.time()))
        late = [round(at - self.fault_at, 2) for at in self._migration().starts if at > self.fault_at + within]
        assert late == [], f"batches begun so many seconds after the fault: {late}"
        return self

    def no_batch_between(self, begin: float, end: float) -> Self:
        """No batch has begun in this time of the play; waits until its end."""
        self.at(end)
        starts = [round(at - self.zero, 2) for at in self._migration().starts]
        assert [at for at in starts if begin <= at <= end] == []
        return self

    def never(self, *kinds: str) -> Self:
        """No event of these kinds so far: `cancelled`, say."""
        assert [event for event in self.house.events() if event[0] in kinds] == []
        return self

    def said(self, words: str, within: float = 10.0) -> Self:
        """The guard has these words in its log."""
        self._guard().wait_says(words, within)
        return self

    def all_told(self) -> Self:
        """Slack has been told everything, once each, in order; and the migration has kept to its orders."""
        self.house.assert_all_told()
        self.house.assert_kept_to_orders(self._migration())
        return self

    # -- below ---------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Heal what the house does not."""
        if self.line is not None:
            self.line.heal()

    def _fault(self, happen: Callable[[], object]) -> Self:
        if not self.zero:
            self.begin()
        happen()
        self.fault_at = time.time()
        return self

    def _note(self, what: str, at: float, within: float) -> None:
        seconds = at - self.fault_at
        self.took(seconds)
        assert seconds <= within + NOISE, f"{what} {seconds:.2f} s after the fault, allowed {within:g} s"

    def _servers(self) -> dict[str, Server]:
        return {"standby": self.cluster.standby, "primary": self.cluster.primary}

    def _who(self, thing: Thing) -> Server | Process:
        if thing == "guard":
            return self._guard()
        return self._migration() if thing == "migration" else self._servers()[thing]

    def _guard(self) -> Process:
        assert self.guard is not None
        return self.guard

    def _migration(self) -> Migrating:
        assert self.migration is not None
        return self.migration

    def _line(self) -> Proxy:
        assert self.line is not None
        return self.line
