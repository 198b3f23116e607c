-- How often WAL was brought to disk, and how long that took in seconds, since when it is counted; PostgreSQL 18 and newer.
--
-- Summed as numeric, since a sum of floats in another order may seem to go back.
select jsonb_build_object('count', coalesce(sum(i.fsyncs), 0),
                          'time', (coalesce(sum(i.fsync_time::numeric), 0) / 1000)::float8,
                          'timed', current_setting('track_wal_io_timing')::bool,
                          'method', current_setting('wal_sync_method'), 'reset', max(i.stats_reset))
  from pg_stat_io i
 where i.object = 'wal'
