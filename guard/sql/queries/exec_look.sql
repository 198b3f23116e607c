-- The sessions of a command that runs under guard, with what each does now: they bear the mark that ours bears too, in
-- the same role and database.
--
-- Compared with our own name as the server keeps it, since it cuts long ones and writes other letters in its own way.
select a.pid, a.backend_start, a.query_start, coalesce(a.state, '') as state,
       coalesce(a.wait_event_type = 'Lock', false) as queued,
       coalesce(extract(epoch from clock_timestamp() - a.query_start)::float8, 0) as seconds,
       a.backend_xid::text::bigint as xid,
       migration_guard.let_finish(a.query) as gentle
  from pg_stat_activity a
 where a.application_name = current_setting('application_name')
   and a.usename = session_user and a.datname = current_database()
   and a.backend_type = 'client backend' and a.pid <> pg_backend_pid()
 order by a.pid
