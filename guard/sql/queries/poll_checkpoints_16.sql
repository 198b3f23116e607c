-- Checkpoints that were not due by time, since when they are counted; up to PostgreSQL 16.
select jsonb_build_object('requested', b.checkpoints_req, 'reset', b.stats_reset) from pg_stat_bgwriter b
