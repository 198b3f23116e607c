-- The migration's sessions that idle in a transaction, whether or not somebody waits for them; times in seconds.
(select coalesce(
          jsonb_agg(jsonb_build_object('pid', a.pid, 'usename', a.usename, 'name', a.application_name,
                                       'in_state', extract(epoch from clock_timestamp() - a.state_change))),
          '[]')
   from pg_stat_activity a
  where a.state = 'idle in transaction' and {migration})
