-- Counters of the database and the server, the archive, and the age of the oldest unfrozen transaction id; one row.
--
-- Only what is asked for is looked at. {checkpoints} and {syncs} are each one of two files, poll_checkpoints*.sql and
-- poll_wal_syncs*.sql; {vacuum} is poll_vacuum.sql or null; that alone needs a privilege.
select pg_is_in_recovery() as in_recovery,
       case when not pg_is_in_recovery() then (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint end as lsn,
       case when not pg_is_in_recovery() then left(pg_walfile_name(pg_current_wal_lsn()), 8) end as timeline,
       case when %(counters)s::bool then
         (select jsonb_build_object('deadlocks', d.deadlocks, 'temp_bytes', d.temp_bytes, 'commits', d.xact_commit,
                                    'rollbacks', d.xact_rollback,
                                    'bytes_read', d.blks_read * current_setting('block_size')::bigint,
                                    'reads', jsonb_build_object(
                                       'count', d.blks_read, 'time', d.blk_read_time / 1000,
                                       'timed', current_setting('track_io_timing')::bool),
                                    'reset', d.stats_reset)
            from pg_stat_database d
           where d.datname = current_database())
       end as counters,
       case when %(archive)s::bool then
         (select jsonb_build_object(
                   'mode', current_setting('archive_mode'), 'archived', a.last_archived_wal,
                   'failing', coalesce(a.last_failed_time > coalesce(a.last_archived_time, '-infinity'), false),
                   'segment_bytes', pg_size_bytes(current_setting('wal_segment_size')),
                   'newest', case when not pg_is_in_recovery() then pg_walfile_name(pg_current_wal_lsn()) end)
            from pg_stat_archiver a)
       end as archive,
       case when %(wraparound)s::bool then
         (select jsonb_build_object('name', d.datname, 'age', age(d.datfrozenxid))
            from pg_database d
           order by age(d.datfrozenxid) desc, d.datname
           limit 1)
       end as oldest,
       case when %(checkpoints)s::bool then ({checkpoints}) end as checkpoints,
       case when %(syncs)s::bool then ({syncs}) end as syncs,
       {vacuum} as vacuum
