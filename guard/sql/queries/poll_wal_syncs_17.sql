-- How often WAL was brought to disk, and how long that took in seconds, since when it is counted; up to PostgreSQL 17.
select jsonb_build_object('count', w.wal_sync, 'time', w.wal_sync_time / 1000,
                          'timed', current_setting('track_wal_io_timing')::bool,
                          'method', current_setting('wal_sync_method'), 'reset', w.stats_reset)
  from pg_stat_wal w
