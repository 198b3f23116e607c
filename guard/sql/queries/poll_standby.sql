-- What a standby says of itself: of which cluster and timeline it is, how far it has come, and from whom it gets WAL; one row.
--
-- Positions as bytes from 0/0. The timeline is that of the WAL that it receives; without a WAL receiver, the one of what it
-- has replayed: its control file names an older one in its last checkpoint for a while. A primary's is that of its WAL.
select pg_is_in_recovery() as in_recovery,
       (select c.system_identifier from pg_control_system() c) as system,
       case when pg_is_in_recovery()
            then coalesce((select r.received_tli from pg_stat_wal_receiver r),
                          greatest((select c.min_recovery_end_timeline from pg_control_recovery() c),
                                   (select c.timeline_id from pg_control_checkpoint() c)))
            else ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int end as timeline,
       (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint as replay_lsn,
       (pg_last_wal_receive_lsn() - '0/0'::pg_lsn)::bigint as flush_lsn,
       (select (r.written_lsn - '0/0'::pg_lsn)::bigint from pg_stat_wal_receiver r) as write_lsn,
       (select r.status from pg_stat_wal_receiver r) as receiver,
       case when pg_is_in_recovery() then pg_is_wal_replay_paused() else false end as paused
