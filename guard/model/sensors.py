"""The catalogue of built-in metrics; docs/sensors.md is generated from it (`python -m guard.model.sensors`).

What a file may name, what `did you mean` proposes and what the paper says is this one list. Nothing is read here.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final

from guard.model.metric import Metric
from guard.model.seen import Dimension

_MONITOR: Final = "pg_monitor (pg_read_all_stats); without it PostgreSQL shows NULL for what others do"
_ANYBODY: Final = "none"
_MEMORY: Final = "shared memory only: no table is read"
_LOCKS: Final = "shared memory only; a second query while somebody waits for a lock"
_RESET: Final = "first looked at, and for one interval after the counters were reset or another server leads"
_UNCOUNTED: Final = (
    "the extension is missing or not preloaded, its track is none, it is first looked at, and for one interval after "
    "it was reset or has dropped entries"
)
_EXTENSION: Final = "USAGE on the extension's schema"
_STATEMENTS: Final = "all entries of pg_stat_statements are summed up, without their texts: some ms for 5,000 of them"
_STANDBYS: Final = "a standby is missing, frozen or of unknown position; the worst of the others still proves a breach"

_ALL: Final = (
    Metric(
        name="database.primaries",
        dimension=Dimension.COUNT,
        means="hosts of the connection string that say they are the primary",
        source="pg_is_in_recovery() of each host",
        silent="no host answers",
        needs=_ANYBODY,
        cost="one short question to each host",
    ),
    Metric(
        name="replication.lag",
        dimension=Dimension.SECONDS,
        means="age of the newest WAL that the slowest expected standby has replayed",
        source="pg_stat_replication (replay_lsn, replay_lag, state, reply_time), own samples of the primary's position",
        silent=_STANDBYS,
        needs=_MONITOR,
        cost=_MEMORY,
    ),
    Metric(
        name="replication.lag_bytes",
        dimension=Dimension.BYTES,
        means="WAL that the slowest expected standby has not replayed yet",
        source="pg_stat_replication (replay_lsn) against pg_current_wal_flush_lsn()",
        silent=_STANDBYS,
        needs=_MONITOR,
        cost=_MEMORY,
    ),
    Metric(
        name="replication.retained_bytes",
        dimension=Dimension.BYTES,
        means="the most WAL that one replication slot keeps from being recycled",
        source="pg_replication_slots (restart_lsn, wal_status) against pg_current_wal_lsn()",
        silent="a slot has lost its WAL (wal_status lost); the most that the others keep still proves a breach",
        needs=_MONITOR,
        cost=_MEMORY,
    ),
    Metric(
        name="replication.standbys",
        dimension=Dimension.COUNT,
        means="standbys of whatever name that stream and replay",
        source="pg_stat_replication (state, replay_lsn)",
        silent="never by itself",
        needs=_MONITOR,
        cost=_MEMORY,
        less_is_worse=True,
    ),
    Metric(
        name="replication.sync_waiters",
        dimension=Dimension.COUNT,
        means="sessions whose commit waits for a synchronous standby",
        source="pg_stat_activity (wait_event SyncRep)",
        silent="never by itself",
        needs=_MONITOR,
        cost=_MEMORY,
    ),
    Metric(
        name="replication.safe_wal_size",
        dimension=Dimension.BYTES,
        means="WAL that may yet be written before the first slot loses some; infinite where none ever does",
        source="pg_replication_slots (safe_wal_size)",
        silent="a slot has lost its WAL (wal_status lost)",
        needs=_MONITOR,
        cost=_MEMORY,
        less_is_worse=True,
    ),
    Metric(
        name="replication.slot_inactive_for",
        dimension=Dimension.SECONDS,
        means="how long the slot that is inactive for longest has been so",
        source="pg_replication_slots (inactive_since, PostgreSQL 17 and newer)",
        silent="a slot is inactive on PostgreSQL 16 or older",
        needs=_MONITOR,
        cost=_MEMORY,
    ),
    Metric(
        name="locks.queued_behind_migration",
        dimension=Dimension.COUNT,
        means="sessions that have each waited `waited` or longer for a table behind the migration",
        source="pg_locks (waitstart), pg_blocking_pids(), pg_stat_activity",
        silent="never by itself: where nobody waits it is 0",
        needs=_MONITOR,
        cost=_LOCKS,
    ),
    Metric(
        name="locks.row_waits_behind_migration",
        dimension=Dimension.COUNT,
        means="the same for rows, which asks for smaller batches rather than a cancel",
        source="pg_locks (waitstart), pg_blocking_pids(), pg_stat_activity",
        silent="never by itself: where nobody waits it is 0",
        needs=_MONITOR,
        cost=_LOCKS,
    ),
    Metric(
        name="locks.longest_wait",
        dimension=Dimension.SECONDS,
        means="longest wait of a session for a table behind the migration",
        source="pg_locks (waitstart), pg_blocking_pids(), pg_stat_activity",
        silent="never by itself: where nobody waits it is 0",
        needs=_MONITOR,
        cost=_LOCKS,
    ),
    Metric(
        name="locks.idle_in_transaction",
        dimension=Dimension.SECONDS,
        means="how long a session of the migration has idled in a transaction that others wait for",
        source="pg_stat_activity (state, state_change), pg_locks, pg_blocking_pids()",
        silent="never by itself: where nobody waits it is 0",
        needs=_MONITOR,
        cost=_LOCKS,
    ),
    Metric(
        name="activity.longest_transaction",
        dimension=Dimension.SECONDS,
        means="age of the longest open transaction in this database; whose it is stands in the message",
        source="pg_stat_activity (xact_start) of client backends but the guard's own",
        silent="never by itself: where none is open it is 0",
        needs=_MONITOR,
        cost=_MEMORY,
    ),
    Metric(
        name="activity.oldest_xmin_age",
        dimension=Dimension.COUNT,
        means="transactions since the oldest that vacuum must respect here; who holds it stands in the message",
        source="pg_stat_activity (backend_xid, backend_xmin), pg_replication_slots (both xmin), pg_prepared_xacts",
        silent="never by itself: where nobody holds any it is 0",
        needs=_MONITOR,
        cost=_MEMORY,
    ),
    Metric(
        name="activity.connections",
        dimension=Dimension.COUNT,
        means="client connections to the whole server, the guard's own among them",
        source="pg_stat_activity (backend_type)",
        silent="never by itself",
        needs=_MONITOR,
        cost=_MEMORY,
    ),
    Metric(
        name="activity.connections_used",
        dimension=Dimension.RATIO,
        means="the same as a share of the connections that are open to all; superusers can take it above 100 %",
        source="pg_stat_activity; max_connections less superuser_reserved_connections and reserved_connections",
        silent="never by itself",
        needs=_MONITOR,
        cost=_MEMORY,
    ),
    Metric(
        name="activity.active",
        dimension=Dimension.COUNT,
        means="sessions of this database that run a statement or wait in one, but the guard's own",
        source="pg_stat_activity (state = active) of client backends",
        silent="never by itself",
        needs=_MONITOR,
        cost=_MEMORY,
    ),
    Metric(
        name="wal.bytes_per_second",
        dimension=Dimension.BYTES,
        means="WAL that is written each second, over the last 10 s",
        source="pg_current_wal_insert_lsn(), own samples",
        silent=_RESET,
        needs=_ANYBODY,
        cost=_MEMORY,
    ),
    Metric(
        name="wal.archive_backlog",
        dimension=Dimension.COUNT,
        means="whole WAL segments behind the newest that the archive has",
        source="pg_stat_archiver (last_archived_wal) against pg_walfile_name(); the files are not counted",
        silent="archive_mode is off, nothing was archived yet, or what was is of another timeline",
        needs=_ANYBODY,
        cost=_MEMORY,
    ),
    Metric(
        name="vacuum.wraparound_age",
        dimension=Dimension.COUNT,
        means="transactions since the oldest one that is not frozen, of the database that is worst off",
        source="pg_database (datfrozenxid) of the whole server",
        silent="never by itself",
        needs=_ANYBODY,
        cost="one small catalog is read",
    ),
    Metric(
        name="checkpoints.requested_per_minute",
        dimension=Dimension.COUNT,
        means="checkpoints in the last minute that were not due by time, most of them for WAL",
        source="pg_stat_checkpointer (num_requested), up to 16 pg_stat_bgwriter (checkpoints_req); own samples",
        silent=_RESET,
        needs=_ANYBODY,
        cost=_MEMORY,
    ),
    Metric(
        name="database.deadlocks_per_minute",
        dimension=Dimension.COUNT,
        means="deadlocks of this database in the last minute",
        source="pg_stat_database (deadlocks), own samples",
        silent=_RESET,
        needs=_ANYBODY,
        cost=_MEMORY,
    ),
    Metric(
        name="database.temp_bytes_per_second",
        dimension=Dimension.BYTES,
        means="temporary files that queries write each second, over the last 10 s",
        source="pg_stat_database (temp_bytes), own samples",
        silent=_RESET,
        needs=_ANYBODY,
        cost=_MEMORY,
    ),
    Metric(
        name="database.rollback_ratio",
        dimension=Dimension.RATIO,
        means="share of this database's transactions that were rolled back in the last 10 s, the guard's own included",
        source="pg_stat_database (xact_rollback, xact_commit), own samples",
        silent=_RESET,
        needs=_ANYBODY,
        cost=_MEMORY,
        drains=False,
    ),
    Metric(
        name="statements.mean_latency",
        dimension=Dimension.SECONDS,
        means="mean execution time of this database's statements that ended in the last 10 s, but of the guard's role",
        source="pg_stat_statements (total_exec_time, calls), own samples",
        silent=f"{_UNCOUNTED}; no statement has ended",
        needs=_EXTENSION,
        cost=_STATEMENTS,
        drains=False,
    ),
    Metric(
        name="statements.calls_per_second",
        dimension=Dimension.COUNT,
        means="statements of this database that ended each second in the last 10 s, but of the guard's role",
        source="pg_stat_statements (calls), own samples",
        silent=_UNCOUNTED,
        needs=_EXTENSION,
        cost=_STATEMENTS,
    ),
)
METRICS: Final[Mapping[str, Metric]] = {metric.name: metric for metric in _ALL}
COUNTING_WAITERS: Final = frozenset({"locks.queued_behind_migration", "locks.row_waits_behind_migration"})
"""Metrics that take `waited`."""

_HEAD: Final = """\
# Sensors

What `metric = "..."` in a rule can name. Generated: `python -m guard.model.sensors > docs/sensors.md`.

A metric that no rule uses is not read. All that are used of one family (the word before the dot) are read together, in
one round trip. Each is silent, with the reason, while the server does not answer within `probe_deadline`, is a standby,
or does not show to the guard's role what is asked for; a silence is never a zero, and the rule's `no_data` says what it
means.
`rollback` goes only with what does not go down by itself once the migration is paused; `cancel` with `locks.*` alone.

## sql
`sql = "select ..."` in a metric's place is a query of your own: any that returns one row with one number. `unit` says
what it answers in, as with Prometheus. It is asked by the guard's role, on a connection of its own, in a READ ONLY
transaction, with a statement timeout of 1.5 s and a lock timeout of 0.3 s. Tables need their schema (`public.orders`).
No row, more rows or columns, NULL, text, an error or a write is a silence that says so. `rollback` may rest on it.
"""


def paper() -> str:
    """docs/sensors.md."""
    return "\n".join([_HEAD, *map(_entry, METRICS.values())])


def _entry(metric: Metric) -> str:
    lines = [
        f"## {metric.name}",
        f"{metric.means[0].upper()}{metric.means[1:]}.",
        "",
        f"- unit: {metric.dimension.value}; {'less' if metric.less_is_worse else 'more'} is worse",
        f"- read from: {metric.source}",
        f"- silent when: {metric.silent}",
        f"- privileges: {metric.needs}",
        f"- cost: {metric.cost}",
    ]
    lines.append(f"- rollback: {'no' if metric.drains else 'yes'}")
    return "\n".join([*lines, ""])


if __name__ == "__main__":  # pragma: no cover
    sys.stdout.write(paper())
