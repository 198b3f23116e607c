"""Hosts, standbys and slots."""

from __future__ import annotations

from typing import Final

from guard.model.metric import Metric
from guard.model.seen import Dimension
from guard.model.sensors.words import MEMORY, MONITOR

_STANDBYS: Final = (
    "a standby is missing, frozen, of unknown position or none of this primary; the worst of the others still proves a "
    "breach"
)
_ITSELF: Final = "pg_last_wal_replay_lsn() of one in standby_dsns"
_STANDBY: Final = ("standby",)
_SLOT: Final = ("slot",)

REPLICATION: Final = (
    Metric(
        name="replication.lag",
        dimension=Dimension.SECONDS,
        means="age of the newest WAL that the slowest expected standby has replayed",
        source=(
            f"pg_stat_replication (replay_lsn, replay_lag, state, reply_time) or {_ITSELF}; own samples of the "
            "primary's position"
        ),
        silent=_STANDBYS,
        needs=MONITOR,
        cost=MEMORY,
        labels=_STANDBY,
    ),
    Metric(
        name="replication.lag_bytes",
        dimension=Dimension.BYTES,
        means="WAL that the slowest expected standby has not replayed yet",
        source=f"pg_stat_replication (replay_lsn) or {_ITSELF}, against pg_current_wal_flush_lsn()",
        silent=_STANDBYS,
        needs=MONITOR,
        cost=MEMORY,
        labels=_STANDBY,
    ),
    Metric(
        name="replication.write_lag_bytes",
        dimension=Dimension.BYTES,
        means="WAL that the slowest expected standby has not written yet: what is on its way to it, or not sent",
        source="pg_stat_replication (write_lsn), pg_stat_wal_receiver of one in standby_dsns",
        silent=_STANDBYS,
        needs=MONITOR,
        cost=MEMORY,
        labels=_STANDBY,
    ),
    Metric(
        name="replication.flush_lag_bytes",
        dimension=Dimension.BYTES,
        means="WAL that the slowest expected standby has not flushed to its disk yet: what a failover to it would lose",
        source="pg_stat_replication (flush_lsn), pg_last_wal_receive_lsn() of one in standby_dsns",
        silent=_STANDBYS,
        needs=MONITOR,
        cost=MEMORY,
        labels=_STANDBY,
    ),
    Metric(
        name="replication.reply_age",
        dimension=Dimension.SECONDS,
        means=(
            "time since the last reply of the expected standby that is silent for longest, by the guard's clock: below "
            "a second while WAL is written, up to wal_receiver_status_interval (10 s) while none is"
        ),
        source="pg_stat_replication (reply_time)",
        silent="a standby is missing, has not replied yet, or replies to another server; one that hangs is no silence",
        needs=MONITOR,
        cost=MEMORY,
        labels=_STANDBY,
    ),
    Metric(
        name="replication.retained_bytes",
        dimension=Dimension.BYTES,
        means="the most WAL that one replication slot keeps from being recycled",
        source="pg_replication_slots (restart_lsn, wal_status) against pg_current_wal_lsn()",
        silent="a slot has lost its WAL (wal_status lost); the most that the others keep still proves a breach",
        needs=MONITOR,
        cost=MEMORY,
        labels=_SLOT,
    ),
    Metric(
        name="replication.standbys",
        dimension=Dimension.COUNT,
        means="standbys of whatever name that stream and replay; subscribers, archives and base backups are none",
        source=(
            "pg_stat_replication (state, replay_lsn), pg_replication_slots (active_pid, slot_type); "
            "pg_stat_wal_receiver of those in standby_dsns"
        ),
        silent="never by itself",
        needs=MONITOR,
        cost=MEMORY,
        less_is_worse=True,
    ),
    Metric(
        name="replication.sync_waiters",
        dimension=Dimension.COUNT,
        means="sessions whose commit waits for a synchronous standby",
        source="pg_stat_activity (wait_event SyncRep)",
        silent="never by itself",
        needs=MONITOR,
        cost=MEMORY,
    ),
    Metric(
        name="replication.safe_wal_size",
        dimension=Dimension.BYTES,
        means="WAL that may yet be written before the first slot loses some; infinite where none ever does",
        source="pg_replication_slots (safe_wal_size)",
        silent="a slot has lost its WAL (wal_status lost)",
        needs=MONITOR,
        cost=MEMORY,
        labels=_SLOT,
        less_is_worse=True,
    ),
    Metric(
        name="replication.slot_inactive_for",
        dimension=Dimension.SECONDS,
        means="how long the slot that is inactive for longest has been so",
        source="pg_replication_slots (inactive_since; before PostgreSQL 17 active, as the guard has seen it)",
        silent=(
            "on PostgreSQL 16 or older a slot was inactive when the guard first looked; the time since then still "
            "proves a breach"
        ),
        needs=MONITOR,
        cost=MEMORY,
        labels=_SLOT,
    ),
)
