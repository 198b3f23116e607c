-- Whether any session waits for a lock at all: far cheaper than pg_locks, which costs by locks held.
--
-- Without pg_read_all_stats (a part of pg_monitor) other sessions' waits are NULL instead of an error.
select pg_has_role('pg_read_all_stats', 'usage'),
       count(*) filter (where a.wait_event_type = 'Lock' and not starts_with(a.application_name, 'migration_guard/'))
  from pg_stat_activity a
