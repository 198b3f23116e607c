-- Sessions of these roles in this database now, counted by name; the guard's own are left out.
select usename::text as role, application_name as name, count(*)::int as sessions
  from pg_stat_activity
 where usename = any (%(roles)s::text[]) and datname = current_database() and pid <> pg_backend_pid()
   and application_name not like 'migration_guard/%%'
 group by usename, application_name
 order by usename, application_name
