-- Ends every session of the command whose wrapper was killed: its mark, its role, this database.
--
-- Not the session of a run that is open: the next one may have begun by now. That of the killed wrapper is gone.
select count(pg_terminate_backend(a.pid))
  from pg_stat_activity a
 where a.application_name = current_setting('application_name')
   and a.usename = session_user and a.datname = current_database()
   and a.backend_type = 'client backend' and a.pid <> pg_backend_pid()
   and not exists (select from migration_guard.run r
                    where r.pid = a.pid and r.backend_start = a.backend_start and r.ended_at is null)
