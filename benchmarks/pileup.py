"""How soon a queue behind a migration's ALTER is released: three sessions that have each waited 2 s."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg

from benchmarks.rig import Connection, Rig, a_phase, eventually
from benchmarks.table import Bar, Row

WAITED = 2.0
READERS = 3

_QUEUED = "select count(*) = {} from pg_locks where relation = 'piled'::regclass and not granted"
_SINCE = """
select extract(epoch from max(waitstart))::float8 from pg_locks where relation = 'piled'::regclass and not granted
"""


@dataclass(slots=True)
class _Statement:
    """A statement in a thread of its own: when it ended (Unix seconds), and with what error."""

    connection: Connection
    text: str
    ended: float = 0.0
    error: psycopg.Error | None = None
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.connection.execute(self.text.encode())
        except psycopg.Error as error:
            self.error = error
        self.ended = time.time()

    def end(self) -> None:
        self.thread.join(20)
        assert not self.thread.is_alive(), f"still waits: {self.text}"


def once(rig: Rig, poll: float) -> float:
    """Seconds from the last reader's beginning to wait until all readers went on.

    An application's open transaction stands at the root, the migration's ALTER waits for it, the readers for that.
    """
    with rig.connect("app", "root") as root, rig.connect("migrator", "migration:alter") as migration:
        readers = [rig.connect("app", "reader") for _ in range(READERS)]
        try:
            with root.transaction():
                root.execute("select from piled limit 1")
                alter = _Statement(migration, "alter table piled add column more int")
                eventually(rig.admin, _QUEUED.format(1))
                time.sleep(a_phase(poll))
                reads = [_Statement(reader, "select count(*) from piled") for reader in readers]
                eventually(rig.admin, _QUEUED.format(1 + READERS))
                row = rig.admin.execute(_SINCE).fetchone()
                for statement in (*reads, alter):
                    statement.end()
        finally:
            for reader in readers:
                reader.close()
    assert isinstance(alter.error, psycopg.errors.QueryCanceled), f"the ALTER was not cancelled: {alter.error}"
    assert not any(read.error for read in reads), [str(read.error) for read in reads]
    assert row is not None
    return float(max(read.ended for read in reads) - row[0])


def measure(rig: Rig, poll: float, runs: int, say: Callable[[str], None]) -> list[Row]:
    """One row for one poll interval."""
    seconds = []
    for number in range(runs):
        seconds.append(once(rig, poll))
        if number % 10 == 9:
            say(f"{number + 1} of {runs} queues")
    limit = (WAITED + poll + 0.1) * 1000
    what = f"3 sessions wait → queue released, poll {poll:g} s"
    return [
        Row(what, tuple(s * 1000 for s in seconds), "ms", Bar(limit, "max"), "of which 2 s are the rule's `waited`")
    ]
