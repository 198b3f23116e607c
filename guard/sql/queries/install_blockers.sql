-- Who may have kept an installation from its lock, in words; the wait is over, so these are all who hold a lock of ours
-- that it may have to wait for: another installation, and strong locks and changed rows of the stamp's table.
select distinct format('pid %s (%s, %s) holds %s%s', a.pid, a.usename,
                       coalesce(nullif(a.application_name, ''), 'no application_name'), l.mode,
                       coalesce(' on ' || l.relation::regclass, ' as another installation'))
  from pg_locks l join pg_stat_activity a using (pid)
 where l.granted and l.pid <> pg_backend_pid()
   and l.database = (select oid from pg_database where datname = current_database())
   and (l.relation in (select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
                        where n.nspname = 'migration_guard' and c.relkind = 'r')
        and (l.mode = 'AccessExclusiveLock' or l.relation = to_regclass('migration_guard.installation')
             and l.mode <> 'AccessShareLock')
        or l.locktype = 'advisory' and l.objsubid = 1
           and (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended('migration_guard.install', 0))
 limit 5
