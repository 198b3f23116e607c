-- Whom the given session waits for in the end: the sessions at the head of its queue that wait for nobody themselves.
--
-- Process id 0 is a prepared transaction, which has no session; those that hold what is waited for are named.
with recursive up (pid) as (
  select b.pid from unnest(pg_blocking_pids(%(pid)s)) as b (pid)
  union
  select b.pid from up u cross join lateral unnest(pg_blocking_pids(u.pid)) as b (pid) where u.pid <> 0
)
select u.pid, coalesce(a.usename::text, '') as usename, coalesce(a.application_name, '') as application_name,
       coalesce(a.state, '') as state, coalesce(a.backend_type, '') as backend_type,
       coalesce((select r.rolsuper from pg_roles r where r.oid = a.usesysid), false) as superuser,
       coalesce(a.query like '%%(to prevent wraparound)%%', false) as wraparound,
       coalesce(extract(epoch from clock_timestamp() - a.state_change)::float8, 0) as in_state,
       case when u.pid = 0 then
         array(select format('%%L of %%I', p.gid, p.owner)
                 from pg_prepared_xacts p
                where p.database = current_database()
                  and exists (select
                                from pg_locks own
                                join pg_locks held on held.virtualtransaction = own.virtualtransaction
                                join pg_locks wanted on wanted.relation = held.relation
                                                    and wanted.database = held.database
                               where own.pid is null and own.transactionid = p.transaction
                                 and held.pid is null and held.granted and not wanted.granted
                                 and (wanted.pid = %(pid)s or wanted.pid in (select pid from up)))
                order by p.prepared)
         else '{}' end as prepared
  from up u left join pg_stat_activity a on a.pid = u.pid and u.pid <> 0
 where u.pid = 0 or cardinality(pg_blocking_pids(u.pid)) = 0
 order by u.pid
