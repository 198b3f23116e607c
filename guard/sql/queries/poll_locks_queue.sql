-- Every session that waits for a lock, for what kind and how long, behind whom; and who these sessions are. One row.
--
-- Times in seconds by the server's clock. A session is a migration's by its registration (not behind a pooler, where
-- the session may serve the application by now), or by role and name. Blocker 0 is a prepared transaction.
with waiting as materialized (
  select l.pid,
         case l.locktype when 'relation' then 'table' when 'transactionid' then 'row' when 'tuple' then 'row'
                         else 'other' end as what,
         coalesce(extract(epoch from clock_timestamp() - l.waitstart), 0) as waited,
         pg_blocking_pids(l.pid) as blockers
    from pg_locks l
   where not l.granted and l.pid is not null
),
party as materialized (
  select a.pid, a.usename, a.application_name, a.state, a.backend_type,
         extract(epoch from clock_timestamp() - a.state_change) as in_state,
         extract(epoch from clock_timestamp() - least(a.xact_start, a.query_start)) as at_work,
         a.query like '%%(to prevent wraparound)%%' as wraparound,
         starts_with(a.application_name, 'migration_guard/') as own,
         not starts_with(a.application_name, 'migration_guard/')
           and (exists (select from migration_guard.run r
                         where r.pid = a.pid and r.usename = a.usename
                           and coalesce(r.backend_start = a.backend_start, a.backend_start <= r.registered_at)
                           and r.outcome is null and not r.pooled)
                or a.datname = current_database() and a.backend_type = 'client backend'
                   and cardinality(%(roles)s::text[]) + cardinality(%(names)s::text[]) > 0
                   and (cardinality(%(roles)s::text[]) = 0 or a.usename = any (%(roles)s::text[]))
                   and (cardinality(%(names)s::text[]) = 0 or a.application_name like any (%(names)s::text[])))
           as migration
    from pg_stat_activity a
   where a.pid in (select w.pid from waiting w union all select unnest(w.blockers) from waiting w)
)
select coalesce((select jsonb_agg(to_jsonb(w)) from waiting w), '[]') as waiters,
       coalesce((select jsonb_agg(to_jsonb(p)) from party p), '[]') as parties
