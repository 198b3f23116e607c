-- Whether any session waits for a lock at all: far cheaper than pg_locks, which costs by locks held; one row.
--
-- {idle}, {held} and {invalid} are the files poll_locks_*.sql of these names, or null where no rule uses them. Without
-- pg_read_all_stats (a part of pg_monitor) other sessions' waits are NULL instead of an error.
select pg_has_role('pg_read_all_stats', 'usage') as permitted,
       count(*) filter (where a.wait_event_type = 'Lock' and not starts_with(a.application_name, 'migration_guard/'))
         as waiting,
       {idle} as idle, {held} as held, {invalid} as invalid
  from pg_stat_activity a
