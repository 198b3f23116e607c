"""What must hold whatever happens, checked from the outside while it happens and at the end.

It believes the migrations' own diaries, the application's own diary, the server's log, the record of all leases and
what arrived at Slack; never what the guard says of itself. A breach of the law is a Violation.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from tests.chaos.history import BUSY, Happened, History, Violation
from tests.chaos.notices import Notices
from tests.chaos.permission import Permission
from tests.chaos.place import NAME, Place, lines_of
from tests.chaos.vitals import Vitals
from tests.chaos.world import World
from tests.waiting import wait_for

AFTER_A_CRASH = 5.0
"""Seconds after a restart in which the application may still see it: it connects again, the server recovers."""
AFTER_A_CANCEL = 5.0
ROWS_EVERY = 20.0
UNTOUCHED = 4.0
"""Seconds for which a database may stand still by what does not concern it: less than any fault that would stop it."""

_ENDED = re.compile(
    r"^(\S+ \S+) \S+ \[\d+\] user=(\S*) app=(.*?) "
    r"(?:ERROR|FATAL):  ((?:canceling statement|terminating connection) due to (?:user request|administrator command))",
    re.MULTILINE,
)
_UNSAID = """
select e.at::text from migration_guard.event e where e.kind = 'paused' and e.migration = %s
   and not exists (select from record.lease l where l.at between e.at and e.at + interval '1 s'
                   and l.orders -> e.migration ->> 'kind' in ('pause', 'abort'))
   and not exists (select from migration_guard.event n where n.migration = e.migration and n.event_id > e.event_id
                   and n.at < e.at + interval '300 ms')
"""
_UNFORESEEN = re.compile(r"Traceback|unforeseen|never awaited|Task exception")


class Oracle:
    """Looks on. `look` is called all the time, `settle` after each fault, `close_the_books` at the end."""

    def __init__(self, world: World, history: History) -> None:
        self.world, self.history = world, history
        self.vitals = Vitals(world)
        self.notices = Notices(world, history)
        self._checked = {place.name: time.time() for place in world.places}
        self._application = {place.name: 0 for place in world.places}
        self._logs: dict[Path, int] = {}
        self._rows_at = 0.0

    # -- while it happens ----------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Check all that can be checked by now. Raises Violation."""
        self._own_words()
        for place in self.world.places:
            self._application_of(place)
        self._server_log()
        for found in _UNFORESEEN.finditer(self._more_of(self.world.guard_log)):
            raise Violation(f"the daemon's log has {found[0]!r}; see {self.world.guard_log}")
        rows_due = time.monotonic() - self._rows_at > ROWS_EVERY
        for place in self.world.places:
            try:
                self._orders_kept(place)
                if rows_due and (wrong := place.each_row_once()):
                    raise Violation(wrong)
            except psycopg.Error:  # the primary is down: what is on record is read later
                continue
        if rows_due:
            self._rows_at = time.monotonic()
            self.notices.told_by_now()
        self.vitals.sample(calm=not self.history.faults or self.history.faults[-1].resumed is not None)

    def _own_words(self) -> None:
        supervisors = [self.world.guard, *self.world.migrations]
        wrong = [word for place in self.world.places for word in place.wrong]
        wrong += self.world.ended_wrongly + [each.broken for each in supervisors if each.broken]
        if wrong:
            raise Violation("; ".join(wrong))

    def _application_of(self, place: Place) -> None:
        diary = self.world.application_diary(place)
        lines, self._application[place.name] = lines_of(diary, self._application[place.name])
        for line in lines:
            if line["what"] == "alive":
                continue
            began = line["began"] if line["what"] == "error" else line["at"] - line["took"]
            causes = self.history.during(began, line["at"], AFTER_A_CRASH)
            if line["what"] == "long":
                for cause in causes:
                    cause.worst = max(cause.worst, line["took"])
                continue
            for cause in causes:
                cause.errors += 1
            if "user request" in line["words"] or "administrator" in line["words"]:
                raise Violation(f"{place.name}: somebody ended a statement of the application: {line}")
            if not any(cause.fault.breaks for cause in causes):
                raise Violation(f"{place.name}: the application had an error that no fault explains: {line}")

    def _server_log(self) -> None:
        for when, user, app, words in _ENDED.findall(self._more_of(self.world.primary.log_file)):
            at = datetime.fromisoformat(when).replace(tzinfo=UTC).timestamp()
            if user in {"", "guard_login"}:
                continue
            causes = self.history.during(at, at, AFTER_A_CANCEL)
            if user != "migrator" or not any(cause.fault.cancels for cause in causes):
                raise Violation(f"{words}: user {user}, application {app}, at {when}: with no lock queue in evidence")

    def _more_of(self, log: Path) -> str:
        if not log.exists():
            return ""
        with log.open("rb") as file:
            file.seek(self._logs.get(log, 0))
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._logs[log] = self._logs.get(log, 0) + len(whole)
        return whole.decode(errors="replace")

    def _orders_kept(self, place: Place) -> None:
        """No batch was begun that nobody had allowed."""
        horizon = time.time() - 1.0
        since = self._checked[place.name]
        starts = [at for at in place.read() if since < at <= horizon]
        with place.database.connect() as connection:
            permission = Permission.read(connection, since - 30, self.world.crashes)
        for start in starts:
            # Stopped between its answer and its batch, nobody can ask again.
            thawed = any(0 <= start - at < BUSY for at in place.thawed)
            if not permission.allowed(start) and not thawed:
                clock = start - self.history.zero
                raise Violation(
                    f"{place.name}: a batch was begun at {clock:.2f} s without permission; {permission.words(start)}"
                )
        self._checked[place.name] = horizon

    # -- after each fault ----------------------------------------------------------------------------------------------

    def settle(self, happened: Happened, within: float) -> None:
        """Wait until batches flow everywhere again, and hold what was seen against what the fault may do."""
        healed = happened.healed or time.time()

        def flowing() -> bool:
            self.look()
            return all(any(at > healed for at in reversed(place.read())) for place in self.world.places)

        try:
            wait_for(flowing, within=within, every=0.2)
        except TimeoutError:
            still = [place.name for place in self.world.places if not any(at > healed for at in place.read())]
            raise Violation(f"no batch in {', '.join(still)} within {within:g} s after it was healed") from None
        happened.resumed = max(min(at for at in place.read() if at > healed) for place in self.world.places)
        self._kept_its_bounds(happened, healed)

    def _kept_its_bounds(self, happened: Happened, healed: float) -> None:
        fault = happened.fault
        for place in self.world.places:
            concerned = not fault.alone or place.name == happened.place
            starts = [at for at in place.read() if happened.at <= at <= healed]
            if fault.stops is not None and concerned and healed - happened.at > fault.stops + BUSY:
                last = max(starts, default=happened.at) - happened.at
                happened.paused_after = max(happened.paused_after or 0.0, last)
                if last > fault.stops + BUSY:
                    raise Violation(f"{place.name}: last batch {last:.2f} s after it, allowed {fault.stops:.2f} s")
            if fault.flows or not concerned:
                self._flowed(place, happened, healed)
        if fault.worst is not None and happened.worst > fault.worst + BUSY:
            raise Violation(f"a request of the application took {happened.worst:.2f} s, allowed {fault.worst:.2f} s")

    def _flowed(self, place: Place, happened: Happened, healed: float) -> None:
        """Whom a fault does not concern goes on; but for the time from one migration to the next."""
        if any(happened.at - 5 < at < healed + 5 for at in place.renewals):
            return
        starts = [at for at in place.read() if happened.at - 1 <= at <= healed]
        moments = [happened.at - 1, *starts, healed]
        gap = max(after - before for before, after in itertools.pairwise(moments))
        if gap > UNTOUCHED:
            raise Violation(f"{place.name} stood still for {gap:.2f} s by a fault that did not concern it")

    # -- at the end ----------------------------------------------------------------------------------------------------

    def close_the_books(self) -> str:
        """All healed and at work: rows, notices, audit trail, the daemon's needs. What was seen, in words."""
        self.look()
        for place in self.world.places:
            wait_for(_quiet(place.each_row_once), within=10, message=place.each_row_once)
            self._trail(place)
        return self.notices.all_told()

    def _trail(self, place: Place) -> None:
        """Each pause in the audit trail is the pause that the lease said, or was over before it could be written."""
        if rows := place.database.execute(_UNSAID.encode(), [NAME]):
            raise Violation(f"{place.name}: the audit trail has a pause that no lease has said: {rows}")


def _quiet(words: Callable[[], str]) -> Callable[[], bool]:
    return lambda: not words()
