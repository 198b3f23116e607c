-- What this server is and what the guard's role may do there; group roles that do not exist give null.
select current_setting('server_version') as version,
       current_setting('server_version_num')::int as version_number,
       pg_is_in_recovery() as standby,
       current_database()::text as database,
       current_user::text as "user",
       (select rolsuper from pg_roles where rolname = current_user) as superuser,
       pg_has_role(current_user, 'pg_monitor', 'usage') as monitor,
       pg_has_role(current_user, 'pg_signal_backend', 'usage') as signal,
       (select pg_has_role(current_user, oid, 'usage') from pg_roles where rolname = 'migration_guard_guard') as member,
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as most,
       (select coalesce(sum(numbackends), 0)::int from pg_stat_database) as taken,
       current_setting('track_activities')::bool as tracked,
       (select coalesce(array_agg(pubname::text order by pubname), '{}') from pg_publication where puballtables)
           as publications,
       i.relpersistence is not null as installed,
       i.relpersistence = 'u' as unlogged
  from (select) as always
  -- Not to_regclass: it fails where the schema may not be used.
  left join (pg_class i join pg_namespace n on n.oid = i.relnamespace and n.nspname = 'migration_guard')
    on i.relname = 'installation'
