-- Checkpoints that were not due by time, since when they are counted; PostgreSQL 17 and newer.
select jsonb_build_object('requested', c.num_requested, 'reset', c.stats_reset) from pg_stat_checkpointer c
