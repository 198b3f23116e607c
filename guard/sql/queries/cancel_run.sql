-- The session of a run as it is now, whatever it does; no row once it has ended, or is the run's no more.
--
-- A run that has said its end leaves its session to whoever opened it, perhaps an application that goes on with it: what
-- began later is other work. Where role and name are a migration's, the session is one all the same.
select a.pid, a.backend_start, a.query_start, a.usename::text as usename, a.application_name,
       coalesce(a.state, '') as state,
       l.relations, migration_guard.let_finish(a.query) as gentle,
       coalesce(a.query ~* '^\s*(select|call)\M[^;]*\mmigration_guard\.[^;]*;?\s*$', false)
         or coalesce(a.wait_event = 'PgSleep', false) and a.backend_xid is null
            and exists (select from migration_guard.run r where r.run_id = %(run_id)s and r.acknowledged_epoch > 0)
         as waits,
       a.backend_xid is not null or a.backend_xmin is not null or cardinality(l.relations) > 0 as holds,
       coalesce((select extract(epoch from f.until - clock_timestamp())::float8 from migration_guard.fence f
                  where f.run_id = %(run_id)s and migration_guard.is_fenced(a.pid, a.backend_start)), 0) as fence_left
  from pg_stat_activity a
 cross join lateral
       (select array(select distinct l.relation
                       from pg_locks l
                      where l.pid = a.pid and l.locktype = 'relation' and l.relation >= 16384
                        and l.database = (select d.oid from pg_database d where d.datname = current_database()))
               as relations) l
 where a.pid = %(pid)s and abs(extract(epoch from a.backend_start)::float8 - %(backend_start)s::float8) < 0.001
   and (a.usename = any (%(roles)s::text[])
        and (cardinality(%(patterns)s::text[]) = 0 or a.application_name ~ any (%(patterns)s::text[]))
        or not exists (select from migration_guard.run r
                        where r.run_id = %(run_id)s and r.ended_at is not null
                          and (a.state = 'idle' or a.query_start > r.ended_at)))
