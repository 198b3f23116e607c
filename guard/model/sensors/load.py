"""What sessions, WAL, vacuum and statements do to the server."""

from __future__ import annotations

from typing import Final

from guard.model.metric import Metric
from guard.model.seen import Dimension
from guard.model.sensors.words import ANYBODY, MEMORY, MONITOR, RESET

_UNCOUNTED: Final = (
    "the extension is missing or not preloaded, its track is none, it is first looked at, and for one interval after "
    "it was reset or has dropped entries"
)
_EXTENSION: Final = "USAGE on the extension's schema"
_STATEMENTS: Final = "all entries of pg_stat_statements are summed up, without their texts: some ms for 5,000 of them"
_BY_QUERY: Final = ("queryid",)
"""As pg_stat_statements shows it; another one after a new major version or where the tables were made anew."""

LOAD: Final = (
    Metric(
        name="activity.longest_transaction",
        dimension=Dimension.SECONDS,
        means="age of the longest open transaction in this database; whose it is stands in the message",
        source="pg_stat_activity (xact_start) of client backends but the guard's own",
        silent="never by itself: where none is open it is 0",
        needs=MONITOR,
        cost=MEMORY,
    ),
    Metric(
        name="activity.oldest_xmin_age",
        dimension=Dimension.COUNT,
        means="transactions since the oldest that vacuum must respect here; who holds it stands in the message",
        source="pg_stat_activity (backend_xid, backend_xmin), pg_replication_slots (both xmin), pg_prepared_xacts",
        silent="never by itself: where nobody holds any it is 0",
        needs=MONITOR,
        cost=MEMORY,
    ),
    Metric(
        name="activity.connections",
        dimension=Dimension.COUNT,
        means="client connections to the whole server, the guard's own among them",
        source="pg_stat_activity (backend_type)",
        silent="never by itself",
        needs=MONITOR,
        cost=MEMORY,
    ),
    Metric(
        name="activity.connections_used",
        dimension=Dimension.RATIO,
        means="the same as a share of the connections that are open to all; superusers can take it above 100 %",
        source="pg_stat_activity; max_connections less superuser_reserved_connections and reserved_connections",
        silent="never by itself",
        needs=MONITOR,
        cost=MEMORY,
    ),
    Metric(
        name="activity.active",
        dimension=Dimension.COUNT,
        means="sessions of this database that run a statement or wait in one, but the guard's own",
        source="pg_stat_activity (state = active) of client backends",
        silent="never by itself",
        needs=MONITOR,
        cost=MEMORY,
    ),
    Metric(
        name="activity.waiting",
        dimension=Dimension.COUNT,
        means="sessions of this database that wait in their statement at that moment, whatever for; how many wait for "
        "each type of event stands in the message",
        source="pg_stat_activity (wait_event_type, state = active) of client backends but the guard's own",
        silent="never by itself: where nobody waits it is 0",
        needs=MONITOR,
        cost=MEMORY,
        labels=("wait_event_type",),
    ),
    Metric(
        name="wal.bytes_per_second",
        dimension=Dimension.BYTES,
        means="WAL that is written each second, over the last 10 s",
        source="pg_current_wal_insert_lsn(), own samples",
        silent=RESET,
        needs=ANYBODY,
        cost=MEMORY,
    ),
    Metric(
        name="wal.sync_latency",
        dimension=Dimension.SECONDS,
        means="mean time of bringing WAL to disk once, over the last 10 s, for which each commit waits; while none is "
        "brought there the rule abstains",
        source="pg_stat_io (fsyncs, fsync_time of wal), up to 17 pg_stat_wal (wal_sync, wal_sync_time); own samples",
        silent=f"track_wal_io_timing is off, wal_sync_method is one of open_*, {RESET}",
        needs=ANYBODY,
        cost=MEMORY,
    ),
    Metric(
        name="wal.archive_backlog",
        dimension=Dimension.COUNT,
        means="whole WAL segments behind the newest that the archive has",
        source="pg_stat_archiver (last_archived_wal) against pg_walfile_name(); the files are not counted",
        silent="archive_mode is off, nothing was archived yet, or what was is of another timeline",
        needs=ANYBODY,
        cost=MEMORY,
    ),
    Metric(
        name="vacuum.wraparound_age",
        dimension=Dimension.COUNT,
        means="transactions since the oldest one that is not frozen, of the database that is worst off",
        source="pg_database (datfrozenxid) of the whole server",
        silent="never by itself",
        needs=ANYBODY,
        cost="one small catalog is read",
    ),
    Metric(
        name="vacuum.on_migration_table",
        dimension=Dimension.SECONDS,
        means="how long a table is vacuumed already that a session of the migration was seen to lock for more than "
        "reading, or to wait for; from then on until that vacuum ends, so also under a pause. Which it is, and whether "
        "it prevents wraparound, stands in the message",
        source="pg_stat_progress_vacuum, pg_stat_activity (xact_start, query), pg_locks; own samples",
        silent="never by itself: where no such table is vacuumed it is 0",
        needs=MONITOR,
        cost="shared memory; while something is vacuumed also by the number of locks held, and rows of pg_class",
    ),
    Metric(
        name="checkpoints.requested_per_minute",
        dimension=Dimension.COUNT,
        means="checkpoints in the last minute that were not due by time, most of them for WAL",
        source="pg_stat_checkpointer (num_requested), up to 16 pg_stat_bgwriter (checkpoints_req); own samples",
        silent=RESET,
        needs=ANYBODY,
        cost=MEMORY,
    ),
    Metric(
        name="database.deadlocks_per_minute",
        dimension=Dimension.COUNT,
        means="deadlocks of this database in the last minute",
        source="pg_stat_database (deadlocks), own samples",
        silent=RESET,
        needs=ANYBODY,
        cost=MEMORY,
    ),
    Metric(
        name="database.temp_bytes_per_second",
        dimension=Dimension.BYTES,
        means="temporary files that queries write each second, over the last 10 s",
        source="pg_stat_database (temp_bytes), own samples",
        silent=RESET,
        needs=ANYBODY,
        cost=MEMORY,
    ),
    Metric(
        name="database.read_bytes_per_second",
        dimension=Dimension.BYTES,
        means="what this database's sessions read each second that shared buffers did not have, in the last 10 s; "
        "the kernel may have had it in memory; a session tells of it once its transaction has ended",
        source="pg_stat_database (blks_read), own samples",
        silent=RESET,
        needs=ANYBODY,
        cost=MEMORY,
    ),
    Metric(
        name="database.read_latency",
        dimension=Dimension.SECONDS,
        means="mean time of reading one block that was not in shared buffers, over the last 10 s; while none is read "
        "the rule abstains",
        source="pg_stat_database (blk_read_time, blks_read), own samples",
        silent=f"track_io_timing is off, {RESET}",
        needs=ANYBODY,
        cost=MEMORY,
    ),
    Metric(
        name="database.rollback_ratio",
        dimension=Dimension.RATIO,
        means="share of this database's transactions that were rolled back in the last 10 s, the guard's own included",
        source="pg_stat_database (xact_rollback, xact_commit), own samples",
        silent=RESET,
        needs=ANYBODY,
        cost=MEMORY,
        drains=False,
    ),
    Metric(
        name="statements.mean_latency",
        dimension=Dimension.SECONDS,
        means="mean execution time of this database's statements that ended in the last 10 s, but of the guard's role",
        source="pg_stat_statements (total_exec_time, calls), own samples",
        silent=f"{_UNCOUNTED}; no statement has ended; none has the selected query id",
        needs=_EXTENSION,
        cost=_STATEMENTS,
        drains=False,
        labels=_BY_QUERY,
    ),
    Metric(
        name="statements.p95_latency",
        dimension=Dimension.SECONDS,
        means="estimated time that 95 % of this database's statements of the last 10 s kept to, but of the guard's "
        "role: as if their times were lognormal with the mean and the deviation that were measured, and never above "
        "3.87 times the mean; what it certainly is at most stands in the message. It fits one query id better than all "
        "together",
        source="pg_stat_statements (calls, total_exec_time, mean_exec_time, stddev_exec_time), own samples",
        silent=f"{_UNCOUNTED}; no statement has ended; none has the selected query id",
        needs=_EXTENSION,
        cost=_STATEMENTS,
        labels=_BY_QUERY,
    ),
    Metric(
        name="statements.calls_per_second",
        dimension=Dimension.COUNT,
        means="statements of this database that ended each second in the last 10 s, but of the guard's role",
        source="pg_stat_statements (calls), own samples",
        silent=f"{_UNCOUNTED}; none has the selected query id",
        needs=_EXTENSION,
        cost=_STATEMENTS,
        labels=_BY_QUERY,
    ),
)
