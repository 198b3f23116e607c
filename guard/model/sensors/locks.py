"""Who waits behind the migration and for how long; what the migration itself waits for, holds and leaves behind."""

from __future__ import annotations

from typing import Final

from guard.model.metric import Metric
from guard.model.seen import Dimension
from guard.model.sensors.words import MEMORY, MONITOR

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
    Metric(
        name="locks.migration_waiting_for",
        dimension=Dimension.SECONDS,
        means=(
            "how long a session of the migration has waited for a lock itself; behind whom in the end stands in the "
            "message, a prepared transaction and an autovacuum against wraparound as such"
        ),
        source="pg_locks (waitstart), pg_blocking_pids(), pg_stat_activity, pg_prepared_xacts",
        silent="never by itself: where it waits for nobody, or for the guard's own pause, it is 0",
        needs=MONITOR,
        cost=_LOCKS,
    ),
    Metric(
        name="locks.access_exclusive_held",
        dimension=Dimension.SECONDS,
        means=(
            "how long the migration has locked a table or an index ACCESS EXCLUSIVE, which stops every reader: since "
            "the guard first saw it, or as long as the session has idled since, and so at most a poll too short while "
            "a guard looks on; what its own transaction has created does not count"
        ),
        source="pg_locks (granted, mode), pg_stat_activity (xact_start, state_change), pg_class; own samples",
        silent="never by itself: where none is held it is 0",
        needs=MONITOR,
        cost="shared memory by the number of locks held, and rows of pg_class; only while it has a transaction open",
    ),
    Metric(
        name="locks.migration_idle_in_transaction",
        dimension=Dimension.SECONDS,
        means="how long a session of the migration has idled in a transaction, whether or not somebody waits for it",
        source="pg_stat_activity (state, state_change)",
        silent="never by itself: where none does it is 0",
        needs=MONITOR,
        cost=MEMORY,
    ),
    Metric(
        name="locks.invalid_indexes",
        dimension=Dimension.COUNT,
        means="invalid indexes of this database that nobody builds, rebuilds or drops now, such as a cancelled CREATE "
        "INDEX CONCURRENTLY leaves behind; each write keeps them up and no query uses them",
        source="pg_index (indisvalid) of other than partitioned indexes, pg_stat_progress_create_index, pg_locks",
        silent="never by itself: where all are valid it is 0",
        needs=MONITOR,
        cost="pg_index is read, which is small; no lock of a table or an index is asked for",
    ),
)
