-- Who holds a lock that a write of the guard has to wait for, in words; no more than five, the oldest transaction first.
--
-- Once the wait has timed out nobody blocks the session any more, so these are all who hold more than a reader's lock on
-- a table that the guard writes, or keep even readers out of one of the others.
select case when l.pid is null
            then format('a prepared transaction (see pg_prepared_xacts) holds %s on %s', l.mode, l.relation::regclass)
            else format('pid %s (%s, %s), %s since %s, holds %s on %s', l.pid, a.usename,
                        coalesce(nullif(a.application_name, ''), 'no application_name'), coalesce(a.state, '?'),
                        to_char(a.xact_start at time zone 'UTC', 'HH24:MI:SS "UTC"'), l.mode, l.relation::regclass)
        end
  from pg_locks l left join pg_stat_activity a on a.pid = l.pid
 where l.locktype = 'relation' and l.granted and l.pid is distinct from pg_backend_pid()
   and l.database = (select oid from pg_database where datname = current_database())
   and l.relation in (select c.oid from pg_class c where c.relnamespace = 'migration_guard'::regnamespace
                         and c.relkind = 'r')
   and (l.mode = 'AccessExclusiveLock'
        or l.mode <> 'AccessShareLock' and l.relation::regclass::text = any (array[
             'migration_guard.leader', 'migration_guard.lease', 'migration_guard.event', 'migration_guard.admission',
             'migration_guard.barred', 'migration_guard.report', 'migration_guard.rollback']))
 order by a.xact_start
 limit 5
