-- How many sessions of this role have begun here since a moment without the mark, and what they call themselves.
select count(*), coalesce(string_agg(distinct coalesce(nullif(a.application_name, ''), '(no name)'), ', '), '')
  from pg_stat_activity a
 where a.application_name <> current_setting('application_name')
   and not starts_with(a.application_name, 'migration_guard/')
   and a.usename = session_user and a.datname = current_database()
   and a.backend_type = 'client backend' and a.backend_start >= %s
