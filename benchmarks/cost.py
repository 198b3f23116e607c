"""What one tick costs the server, probe by probe, beside one scrape of postgres_exporter on the same server.

With 10, 100 and 500 sessions that idle, and none or 50 that wait for a lock. Each second the guard has its tick by
itself and the exporter is asked once, so that both see the same weather; the figures are medians of those seconds.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich.table import Table

from benchmarks import exporter
from benchmarks.light import NAMES, can_count
from benchmarks.rig import Connection, Rig
from benchmarks.spent import Books, Spent
from benchmarks.table import Bar, Row
from guard.demo.waiting import wait_for
from guard.model.seen import Dimension
from guard.model.sensors import METRICS

SESSIONS, WAITERS = (10, 100, 500), (0, 50)
ROOM = {"max_connections": "700"}
"""Of the server of this benchmark: for all these sessions, the guard and the exporter."""
_LIMITS = {
    Dimension.SECONDS: "100d",
    Dimension.BYTES: "100TB",
    Dimension.COUNT: "10000000000",
    Dimension.RATIO: "1000%",
}
_LEAST = {Dimension.BYTES: "1kB", Dimension.COUNT: "1"}


def every_sensor() -> str:
    """A rule for each metric of the catalogue, none of which is ever due."""
    rules = []
    for metric in METRICS.values():
        limit = f"< {_LEAST[metric.dimension]}" if metric.less_is_worse else f"> {_LIMITS[metric.dimension]}"
        rules.append(f'[[rule]]\nname = "{metric.name}"\nmetric = "{metric.name}"\nwarn = "{limit}"\n')
    return "\n".join(rules)


RULES = {"no rule in the file": "", "a rule for every sensor": every_sensor()}
"""Without any the guard has its usual ones: lag, standbys, lock queue, connections, retained WAL."""


_NAMES = {**NAMES, exporter.ROLE: "one scrape of postgres_exporter"}
LEGEND = "ms of planning and execution / ms of processor time per tick, at so many sessions, so many waiting"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one of the guard's connections, or a scrape, costs the server per tick in one case."""

    rules: str
    sessions: int
    waiting: int
    who: str
    spent: Spent


def measure(seconds: int, say: Callable[[str], None]) -> tuple[list[Row], list[Cost]]:
    """All cases on a server of their own; the rows hold what is promised of the sums."""
    costs: list[Cost] = []
    with Rig(settings=ROOM) as rig, exporter.running(rig) as scraped, contextlib.ExitStack() as crowd:
        if not can_count(rig):
            say("pg_stat_statements is not preloaded: no costs")
            return [], []
        say("postgres_exporter is not installed: no scrape" if scraped is None else "beside postgres_exporter")
        here = 0
        for sessions in SESSIONS:
            for _ in range(sessions - here):
                crowd.enter_context(contextlib.closing(rig.connect("app")))
            here = sessions
            for rules, text in RULES.items():
                with rig.daemon(1.0, text), _migration(rig):
                    books = Books(rig.admin, guard="watcher", beside=exporter.ROLE)
                    for waiting in WAITERS:
                        say(f"{rules}: {sessions} sessions, {waiting} waiting")
                        with _queue(rig, waiting):
                            spent = _watch(books, scraped, seconds)
                        costs += [Cost(rules, sessions, waiting, who, each) for who, each in spent.items()]
    return ratios(costs), costs


@contextlib.contextmanager
def _migration(rig: Rig) -> Iterator[None]:
    """A client that works, since a guard that nobody asks is dormant."""
    diary = rig.directory / f"cost-{time.monotonic_ns()}"
    client = rig.child("client", "migrator", str(diary))
    try:
        wait_for(lambda: diary.exists() and diary.stat().st_size, within=30, message="the client to begin")
        yield
    finally:
        client.stop()


@contextlib.contextmanager
def _queue(rig: Rig, waiting: int) -> Iterator[None]:
    """So many sessions that wait for a table which another session of the application has locked."""
    with contextlib.ExitStack() as stack:
        if waiting:
            holder = stack.enter_context(contextlib.closing(rig.connect("app")))
            queue = [stack.enter_context(contextlib.closing(rig.connect("app"))) for _ in range(waiting)]
            holder.execute("begin; lock table piled in access exclusive mode")
            for each in queue:
                each.pgconn.send_query(b"select count(*) from piled")  # nobody waits for the answer here
            query = "select count(*) = %s from pg_locks where not granted and relation = 'piled'::regclass"
            wait_for(lambda: _first(rig.admin, query, waiting), within=30, message="the queue")
            stack.callback(holder.execute, "rollback")
        yield


def _first(connection: Connection, query: str, *values: object) -> object:
    row = connection.execute(query.encode(), values).fetchone()
    return row[0] if row else None


def _watch(books: Books, scraped: exporter.Exporter | None, seconds: int) -> dict[str, Spent]:
    """Per second, hence per tick and per scrape: what is typical of so many."""
    books.learn(2.5)
    books.turn()
    each: dict[str, list[Spent]] = defaultdict(list)
    began = time.monotonic()
    for second in range(1, seconds + 1):
        if scraped is not None:
            scraped.scrape()
        time.sleep(max(0.0, began + second - time.monotonic()))
        for who, spent in books.turn().items():
            each[who].append(spent)
    return {who: Spent.typical(seen) for who, seen in each.items()}


def tables(costs: list[Cost]) -> list[Table]:
    """A table for each set of rules: a line for each connection, a column for each case."""
    made = []
    for rules in dict.fromkeys(cost.rules for cost in costs):
        mine = {(cost.who, cost.sessions, cost.waiting): cost.spent for cost in costs if cost.rules == rules}
        cases = list(dict.fromkeys((sessions, waiting) for _, sessions, waiting in mine))
        table = Table("", "round trips", "rows", title=f"{rules}: {LEGEND}", title_justify="left")
        for sessions, waiting in cases:
            table.add_column(f"{sessions}, {waiting}", justify="right", no_wrap=True)
        for who in dict.fromkeys(who for who, _, _ in mine):
            spent = [mine.get((who, *case), Spent()) for case in cases]
            if sum(each.trips for each in spent) > 0.5:
                table.add_row(_NAMES.get(who, f"probe {who}"), *_extent(spent), *map(_cell, spent))
        made.append(table)
    return made


def _extent(spent: list[Spent]) -> tuple[str, str]:
    """Least and most of all cases."""
    trips, rows = [round(each.trips) for each in spent], [round(each.rows) for each in spent]
    return _between(trips), _between(rows)


def _between(numbers: list[int]) -> str:
    return f"{min(numbers)}" if min(numbers) == max(numbers) else f"{min(numbers)}-{max(numbers)}"


def _cell(spent: Spent) -> str:
    return f"{spent.time:.2f} / {spent.processor:.2f}"


def ratios(costs: list[Cost]) -> list[Row]:
    """A scrape against the guard's whole tick, case by case."""
    rows = []
    for rules, sessions, waiting in dict.fromkeys((cost.rules, cost.sessions, cost.waiting) for cost in costs):
        case = [cost for cost in costs if (cost.rules, cost.sessions, cost.waiting) == (rules, sessions, waiting)]
        tick = sum(cost.spent.time for cost in case if cost.who != exporter.ROLE)
        scrape = sum(cost.spent.time for cost in case if cost.who == exporter.ROLE)
        what = f"{rules}, {sessions} sessions, {waiting} waiting"
        if scrape:
            times = scrape / tick
            rows.append(
                Row(
                    f"a scrape of postgres_exporter in ticks of the guard: {what}",
                    (times,),
                    "x",
                    Bar(5.0, "median", least=True),
                    f"{scrape:.1f} ms against {tick:.2f} ms",
                )
            )
        else:
            rows.append(Row(f"a tick of the guard: {what}", (tick,), "ms"))
    return rows
