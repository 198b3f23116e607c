-- Ends one session of the command, if it is still that session at that statement; whether it was.
select coalesce(
         (select pg_terminate_backend(a.pid)
            from pg_stat_activity a
           where a.pid = %(pid)s and a.backend_start = %(backend_start)s
             and a.query_start is not distinct from %(query_start)s and a.state = %(state)s
             and a.application_name = current_setting('application_name')
             and a.usename = session_user and a.datname = current_database() and a.pid <> pg_backend_pid()),
         false)
