"""Who waits behind the migration, and for how long."""

from __future__ import annotations

from typing import Final

from guard.model.metric import Metric
from guard.model.seen import Dimension
from guard.model.sensors.words import MONITOR

_LOCKS: Final = "shared memory only; a second query while somebody waits for a lock"

LOCKS: Final = (
    Metric(
        name="locks.queued_behind_migration",
        dimension=Dimension.COUNT,
        means="sessions that have each waited `waited` or longer for a table behind the migration",
        source="pg_locks (waitstart), pg_blocking_pids(), pg_stat_activity",
        silent="never by itself: where nobody waits it is 0",
        needs=MONITOR,
        cost=_LOCKS,
    ),
    Metric(
        name="locks.row_waits_behind_migration",
        dimension=Dimension.COUNT,
        means="the same for rows, which asks for smaller batches rather than a cancel",
        source="pg_locks (waitstart), pg_blocking_pids(), pg_stat_activity",
        silent="never by itself: where nobody waits it is 0",
        needs=MONITOR,
        cost=_LOCKS,
    ),
    Metric(
        name="locks.longest_wait",
        dimension=Dimension.SECONDS,
        means="longest wait of a session for a table behind the migration",
        source="pg_locks (waitstart), pg_blocking_pids(), pg_stat_activity",
        silent="never by itself: where nobody waits it is 0",
        needs=MONITOR,
        cost=_LOCKS,
    ),
    Metric(
        name="locks.idle_in_transaction",
        dimension=Dimension.SECONDS,
        means="how long a session of the migration has idled in a transaction that others wait for",
        source="pg_stat_activity (state, state_change), pg_locks, pg_blocking_pids()",
        silent="never by itself: where nobody waits it is 0",
        needs=MONITOR,
        cost=_LOCKS,
    ),
)
