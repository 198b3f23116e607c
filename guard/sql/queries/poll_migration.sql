-- Whether session a of pg_stat_activity is a migration's, and never the guard's own: a condition for other queries.
--
-- By its registration (not behind a pooler, where the session may serve the application by now), or by role and name.
not starts_with(a.application_name, 'migration_guard/')
  and (exists (select from migration_guard.run r
                where r.pid = a.pid and r.usename = a.usename
                  and coalesce(r.backend_start = a.backend_start, a.backend_start <= r.registered_at)
                  and r.outcome is null and not r.pooled)
       or a.datname = current_database() and a.backend_type = 'client backend'
          and cardinality(%(roles)s::text[]) + cardinality(%(names)s::text[]) > 0
          and (cardinality(%(roles)s::text[]) = 0 or a.usename = any (%(roles)s::text[]))
          and (cardinality(%(names)s::text[]) = 0 or a.application_name like any (%(names)s::text[])))
