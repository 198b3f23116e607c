"""What each of a role's connections spends in the server, from one look to the next.

Times and rows are those of pg_stat_statements, with planning; processor time is the kernel's, of the connection's own
server process, so that it also holds parsing and the protocol. Whose a statement is, is seen in pg_stat_activity.
"""

from __future__ import annotations

import functools
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from benchmarks.rig import Connection

OTHER = "other"
_GUARD = "migration_guard/"
_SESSIONS = """
select a.pid, a.usename, a.application_name, a.query from pg_stat_activity a
 where a.usename = any (%s) and a.backend_type = 'client backend'
"""
_STATEMENTS = """
select r.rolname, s.query, s.total_exec_time, s.total_plan_time, s.rows, s.calls
  from pg_stat_statements s join pg_roles r on r.oid = s.userid where r.rolname = any (%s)
"""


@dataclass(frozen=True, slots=True)
class Spent:
    """Milliseconds in the server, rows returned, round trips."""

    executed: float = 0.0
    planned: float = 0.0
    rows: float = 0.0
    trips: float = 0.0
    processor: float = 0.0
    """0 where the system does not tell."""

    @property
    def time(self) -> float:
        """Planning and execution."""
        return self.executed + self.planned

    def plus(self, other: Spent, sign: int = 1) -> Spent:
        return Spent(*(mine + sign * theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    @classmethod
    def typical(cls, seen: Sequence[Spent]) -> Spent:
        """Median by median, but the mean of the round trips, some of which are not made each time."""
        columns = [statistics.median(column) for column in zip(*map(astuple, seen), strict=True)]
        columns[3] = statistics.mean(one.trips for one in seen)
        return cls(*columns)


def total(all_of: Iterable[Spent]) -> Spent:
    """Their sum."""
    return functools.reduce(Spent.plus, all_of, Spent())


class Books:
    """Who has spent what since the last turn: each connection of *guard*, by its application_name, and *beside*.

    Both are roles.
    """

    def __init__(self, admin: Connection, guard: str, beside: str) -> None:
        self._admin, self._beside, self._roles = admin, beside, [guard, beside]
        self._whose: dict[tuple[str, str], str] = {}
        self._before = self._look()

    def learn(self, within: float) -> None:
        """Watch for *within* seconds which connection asks what; what one asks in no pause in between is not seen."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            self._sessions()
            time.sleep(0.01)

    def turn(self) -> dict[str, Spent]:
        """What each has spent since the turn before, or since the beginning."""
        now = self._look()
        before, self._before = self._before, now
        return {who: spent.plus(before.get(who, Spent()), -1) for who, spent in now.items()}

    def _sessions(self) -> dict[int, str]:
        found = {}
        for pid, role, name, query in self._admin.execute(_SESSIONS, [self._roles]).fetchall():
            who = name.removeprefix(_GUARD) if name.startswith(_GUARD) else role
            self._whose[role, shape(query)] = who
            found[pid] = who
        return found

    def _look(self) -> dict[str, Spent]:
        known: dict[str, Spent] = defaultdict(Spent)
        for pid, who in self._sessions().items():
            known[who] = known[who].plus(Spent(processor=_processor(pid)))
        for role, query, *numbers in self._admin.execute(_STATEMENTS, [self._roles]).fetchall():
            who = role if role == self._beside else self._whose.get((role, shape(query)), OTHER)
            known[who] = known[who].plus(Spent(*map(float, numbers)))
        return dict(known)


def shape(query: str) -> str:
    """How a statement begins, without what pg_stat_statements replaces, to find it again.

    The beginning alone, since pg_stat_activity shows the first 1023 bytes; its last line may break off within a quote.
    """
    if len(query) > 1000:
        query = query[: query.rfind("\n", 0, 1000)]
    return re.sub(r"--[^\n]*|/\*.*?\*/|'[^']*'|\$\d+|\b(?:\d[\w.]*|epoch|true|false|null)\b|[\s,;]", "", query)[:200]


def _processor(pid: int) -> float:
    """Milliseconds on a processor until now."""
    file = Path(f"/proc/{pid}/schedstat")
    try:
        return int(file.read_text().split()[0]) / 1e6
    except OSError:
        return 0.0
