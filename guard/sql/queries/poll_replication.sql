-- How far the primary's WAL has come, on which timeline, what it knows of standbys, what its slots keep, and who
-- waits for a synchronous standby; one row.
--
-- Flushed WAL, since no other is sent to standbys. Positions as bytes from 0/0. The role needs pg_read_all_stats (a
-- part of pg_monitor): without it the view shows NULL instead of failing.
select pg_is_in_recovery() as in_recovery,
       pg_has_role('pg_read_all_stats', 'usage') as permitted,
       case when not pg_is_in_recovery() then (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint end as lsn,
       case when not pg_is_in_recovery() then left(pg_walfile_name(pg_current_wal_lsn()), 8) end as timeline,
       coalesce(
         (select jsonb_agg(jsonb_build_object(
                   'pid', s.pid,
                   'name', a.application_name,
                   'state', s.state,
                   'logical', exists (select from pg_replication_slots l
                                       where l.active_pid = s.pid and l.slot_type = 'logical'),
                   'positions_known', num_nulls(s.sent_lsn, s.write_lsn, s.flush_lsn, s.replay_lsn) = 0,
                   'write_lsn', (s.write_lsn - '0/0'::pg_lsn)::bigint,
                   'flush_lsn', (s.flush_lsn - '0/0'::pg_lsn)::bigint,
                   'replay_lsn', (s.replay_lsn - '0/0'::pg_lsn)::bigint,
                   'replay_lag', extract(epoch from s.replay_lag),
                   'replied_wall', extract(epoch from s.reply_time),
                   'reply_age', extract(epoch from clock_timestamp() - s.reply_time)))
            -- As the view pg_stat_replication does, but that it reads all sessions to find these.
            from pg_stat_get_wal_senders() s
           cross join lateral pg_stat_get_activity(s.pid) a),
         '[]') as senders,
       coalesce(
         (select jsonb_agg(jsonb_build_object(
                   'name', s.slot_name,
                   'active', s.active,
                   'wal_status', s.wal_status,
                   'safe', s.safe_wal_size,
                   -- By name, since the column came with 17.
                   'inactive_for', extract(epoch from clock_timestamp()
                                           - (to_jsonb(s) ->> 'inactive_since')::timestamptz),
                   'kept', case when not pg_is_in_recovery() then (pg_current_wal_lsn() - s.restart_lsn)::bigint end))
            from pg_replication_slots s),
         '[]') as slots,
       case when %(waiters)s::bool then
         (select count(*) from pg_stat_activity a where a.wait_event_type = 'IPC' and a.wait_event = 'SyncRep')
       end as sync_waiters,
       case when %(identity)s::bool then (select c.system_identifier from pg_control_system() c) end as system
