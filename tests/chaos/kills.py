"""A hundred kills, at random moments, of each of: daemon, migration, primary, standby.

Between two kills everything is started at once, so that they fall into every stage of a life: starting, taking the
lead, deciding, rolling back, telling. After each one the oracle looks; after each tenth all must be well again.
"""

from __future__ import annotations

import contextlib
import json
import random
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg

from tests.chaos.faults import Fault
from tests.chaos.history import Happened, History, Violation
from tests.chaos.oracle import Oracle
from tests.chaos.place import NAME
from tests.chaos.plan import Slot
from tests.chaos.soak import kept, say
from tests.chaos.world import World
from tests.fix_http import Endpoint, answer
from tests.waiting import wait_for

ALL_WELL_EVERY = 10
WELL_WITHIN = 30.0
ROLLED_WITHIN = 60.0
"""A daemon that dies between the claim and the start of the hook leaves the next one in doubt for 20 s."""
_HOOK = '#!/bin/sh\necho "$MIGRATION_GUARD_RUN_ID" >> {runs}\nsleep 0.3\n'
_MORE = """
[rollback]
command = [{hook}]
timeout = "5s"
[[rule]]
name     = "errors"
http     = "{url}"
json     = "v"
pause    = "> 1%"
rollback = "> 5% for 200ms"
resume   = "< 1% for 200ms"
"""
_KILL = Fault(contextlib.nullcontext, (0, 0), breaks=True, cancels=True, mute=True)  # type: ignore[arg-type]


@dataclass
class Tally:
    """What became of the kills of one victim. Times in seconds."""

    kills: int = 0
    each: list[float] = field(default_factory=list)
    well: list[float] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)

    def line(self, victim: str) -> str:
        """For people."""
        seen = ", ".join(f"{count} {what}" for what, count in sorted(self.seen.items()))
        well = f"{statistics.median(self.well):.2f} {max(self.well):>6.2f}" if self.well else "-"
        return f"{victim:<10} {self.kills:>5}  {sum(self.each):>9.0f}  {well:>15}  {seen}"


def run(seed: int, kills: int, only: str = "") -> int:
    """Kill each victim so often; the exit code."""
    say(f"kills: seed {seed}, {kills} of each")
    errors = Endpoint()
    with contextlib.closing(errors), World(["shop"], standbys=1, rows=1_000_000) as world, kept(world):
        say(f"logs in {world.directory} (kept where something is wrong)")
        killing = Killing(world, errors, random.Random(seed))  # noqa: S311 -- not a secret
        try:
            killing.begin()
            for victim in killing.victims:
                if any(word.strip() in victim for word in only.split(",")):
                    killing.all_of(victim, kills)
            said = killing.oracle.close_the_books()
            world.keep = False
        except (Violation, TimeoutError) as violation:
            say(f"\nVIOLATION (wall {time.time():.2f}), seed {seed}, kill {killing.now}: {violation}")
            return 1
        say(f"\n{'killed':<10} {'times':>5}  {'seconds':>9}  {'all well, s':>15}  seen")
        say("\n".join(tally.line(victim) for victim, tally in killing.tallies.items()))
        say(f"{said}; hook runs: {len(killing.hook_runs())}, none twice\nseed {seed}: all held")
    return 0


class Killing:
    """The kills of one run."""

    def __init__(self, world: World, errors: Endpoint, dice: random.Random) -> None:
        self.world, self.dice, self._errors = world, dice, errors
        self.place = world.places[0]
        self.place.may_abort = True
        self.history = History()
        self.oracle = Oracle(world, self.history)
        self.tallies: dict[str, Tally] = {}
        self.now = "0"
        self.victims: dict[str, Callable[[int], None]] = {
            "guard": self._kill_guard,
            "migration": self._kill_migration,
            "primary": self._kill_primary,
            "standby": self._kill_standby,
        }
        self._runs = world.directory / "hook-runs"
        self._rolled = False

    def begin(self) -> None:
        """The hook, the rule that fires it, and work that flows."""
        hook = self.world.directory / "hook"
        hook.write_text(_HOOK.format(runs=self._runs))
        hook.chmod(0o755)
        self._runs.touch()
        self._errors_are(0)
        self.world.more = _MORE.format(hook=json.dumps(str(hook)), url=self._errors.url)
        self.world.configure()
        self.world.guard.restart_after(0.05)
        self.world.guard.send(signal.SIGTERM)
        self.world.start_work(load=False)
        self.world.migrations[0].restart_after(0.05)
        self.history.faults.append(Happened(Slot(0, 0.0, "kills", 0.0, 0), _KILL, "", at=time.time()))
        self._all_well()

    def hook_runs(self) -> list[str]:
        """Run ids that the hook was run for."""
        return self._runs.read_text().split()

    def all_of(self, victim: str, kills: int) -> None:
        """All kills of one victim."""
        tally = self.tallies.setdefault(victim, Tally())
        for number in range(1, kills + 1):
            self.now = f"{number} of {victim}"
            began = time.monotonic()
            self.victims[victim](number)
            tally.kills += 1
            self.oracle.look()
            self._checked_rows()
            if len(set(self.hook_runs())) != len(self.hook_runs()):
                raise Violation(f"the hook was run twice for one run: {self.hook_runs()}")
            if number % ALL_WELL_EVERY == 0 or number == kills or self._rolled:
                tally.well.append(self._all_well())
            tally.each.append(time.monotonic() - began)
            if number % ALL_WELL_EVERY == 0:
                self._checkpoint()
                say(f"{victim}: {number} kills, {sum(tally.each):.0f} s")

    # -- the victims ---------------------------------------------------------------------------------------------------

    def _kill_guard(self, number: int) -> None:
        """In calm, in a breach, or in a rollback; between its start and a moment after its decision."""
        mood = (
            "rollback" if number % 10 == 5 else self.dice.choice(("calm", "breach", "breach goes on", "breach goes on"))
        )
        time.sleep(self.dice.uniform(0.0, 0.8))
        self.tallies["guard"].seen[mood] += 1
        if mood == "rollback":
            self._rolled = self._provoke_rollback()
        elif mood != "breach goes on":
            self.place.load(9 if mood == "breach" else 0)
            time.sleep(self.dice.uniform(0.0, 0.4))
        paused = self._told() == "pause"
        killed = time.time()
        self.world.guard.send(signal.SIGKILL)
        if paused and mood == "breach goes on":
            self.tallies["guard"].seen["kept its pause"] += 1
            self._stays_paused(killed)

    def _stays_paused(self, since: float) -> None:
        """A pause whose breach goes on outlives the daemon that has said it."""
        lives = len(self.world.guard.lives)
        wait_for(lambda: len(self.world.guard.lives) > lives and self._beats_since(since), within=15)
        said = self.place.database.execute(
            "select distinct orders -> %s ->> 'kind' from record.lease where at > to_timestamp(%s)", [NAME, since]
        )
        if ("proceed",) in said:
            raise Violation("a daemon that was killed while it paused came back and let the migration go on")

    def _beats_since(self, since: float) -> bool:
        query = "select exists (select from record.lease where at > to_timestamp(%s) and orders ? %s)"
        return bool(self.place.database.execute(query, [since, NAME])[0][0])

    def _provoke_rollback(self) -> bool:
        """Errors that begin with the change; then as long as a rollback lasts, or less. False where none can be due."""
        self.place.load(0)
        self._all_well()
        applied = "select exists (select from migration_guard.run where outcome is null and rows_done > 0)"
        wait_for(lambda: self.place.database.execute(applied)[0][0], within=15, message="rows to be applied")
        time.sleep(0.5)
        self._errors_are(0.08)
        time.sleep(self.dice.uniform(0.2, 1.6))
        return True

    def _kill_migration(self, _number: int) -> None:
        time.sleep(self.dice.uniform(0.0, 1.2))
        self.world.migrations[0].send(signal.SIGKILL)
        wait_for(lambda: self.world.migrations[0].lives[-1].ended is None, within=10)

    def _kill_primary(self, _number: int) -> None:
        time.sleep(self.dice.uniform(0.0, 1.5))
        self.world.crashes.append(time.time())
        self.world.primary.kill()
        self.world.primary.start()

    def _kill_standby(self, _number: int) -> None:
        time.sleep(self.dice.uniform(0.0, 0.6))
        standby = self.world.cluster.standby
        standby.kill()
        time.sleep(self.dice.choice((0.0, 0.0, 0.7)))
        standby.start()

    def _checkpoint(self) -> None:
        # A killed server begins at its last checkpoint: without one now and then each start would take longer.
        for server in self.world.cluster.servers:
            server.execute("checkpoint")

    # -- what must be so -----------------------------------------------------------------------------------------------

    def _all_well(self) -> float:
        """Heal everything; the seconds until batches flow again."""
        self.place.load(0)
        self._errors_are(0)
        if self._rolled:
            self._after_the_rollback()
        began, since = time.monotonic(), time.time()

        def flowing() -> bool:
            self.oracle.look()
            return any(at > since for at in reversed(self.place.read()))

        wait_for(flowing, within=WELL_WITHIN, every=0.1, message="a batch after everything was healed")
        return time.monotonic() - began

    def _after_the_rollback(self) -> None:
        """It came to an end, or was never due; then a human forgets it."""
        ends = {"rolled_back", "rollback_failed", "rollback_withheld"}

        def over() -> bool:
            kinds = [row[0] for row in self.place.events() if row[0] in {"rolling_back", *ends}]
            return not kinds or kinds[-1] in ends

        time.sleep(0.5)
        wait_for(over, within=ROLLED_WITHIN, every=0.2, message="the rollback to end")
        self._rolled = False
        self.tallies["guard"].seen["hook runs"] = len(self.hook_runs())
        with self.place.database.connect("ana") as ana:
            ana.execute("select migration_guard.forget(%s, 'ana')", [NAME])

    def _checked_rows(self) -> None:
        with contextlib.suppress(psycopg.Error):
            if (wrong := self.place.each_row_once()) and (wrong := self.place.each_row_once()):
                raise Violation(wrong)

    def _told(self) -> str:
        rows = self.place.database.execute("select orders -> %s ->> 'kind' from migration_guard.lease", [NAME])
        return str(rows[0][0]) if rows else ""

    def _errors_are(self, rate: float) -> None:
        self._errors.reply = answer(json.dumps({"v": rate}).encode())
