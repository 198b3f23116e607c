-- Every session that waits for a lock, for what kind and how long, behind whom; and who these sessions are. One row.
--
-- Times in seconds by the server's clock. {migration} is the file poll_migration.sql. Blocker 0 is a prepared transaction,
-- which has no session: those that hold what is waited for are named.
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
         {migration} as migration
    from pg_stat_activity a
   where a.pid in (select w.pid from waiting w union all select unnest(w.blockers) from waiting w)
)
select coalesce((select jsonb_agg(to_jsonb(w)) from waiting w), '[]') as waiters,
       coalesce((select jsonb_agg(to_jsonb(p)) from party p), '[]') as parties,
       case when exists (select from waiting w where 0 = any (w.blockers)) then
         (select coalesce(jsonb_agg(format('%%L of %%I', p.gid, p.owner) order by p.prepared), '[]')
            from pg_prepared_xacts p
           where p.database = current_database()
             and exists (select
                           from pg_locks own
                           join pg_locks held on held.virtualtransaction = own.virtualtransaction and held.pid is null
                           join pg_locks wanted on not wanted.granted and wanted.locktype = held.locktype
                                               and wanted.database is not distinct from held.database
                                               and wanted.relation is not distinct from held.relation
                                               and wanted.transactionid is not distinct from held.transactionid
                          where own.pid is null and own.transactionid = p.transaction and held.granted))
       end as prepared
