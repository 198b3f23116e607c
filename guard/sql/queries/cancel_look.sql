-- The migration's sessions that somebody waits for, with everyone who waits and for how long, by the server's clock.
--
-- Recognised: registered (pid, start, user and name as registered) or, with strangers, by role and name.
-- A wait for a table is followed through the queue, as is a wait for a row: whoever waits behind one who waits for the
-- migration waits for the migration. The two are not mixed.
with recursive migration as materialized (
  select a.pid, a.backend_start, a.query_start, a.usename, a.application_name, a.state, a.state_change, a.query
    from pg_stat_activity a
   where a.datname = current_database()
     and a.backend_type = 'client backend'
     and a.pid <> pg_backend_pid()
     and a.application_name not like 'migration_guard/%%'
     and not a.pid = any (%(excluded_pids)s::int[])
     and not exists (select
                       from unnest(%(excluded_users)s::text[], %(excluded_names)s::text[]) as x (usename, name)
                      where x.usename = a.usename and x.name = a.application_name)
     and (exists (select
                    from unnest(%(pids)s::int[], %(starts)s::float8[], %(users)s::text[], %(names)s::text[])
                         as r (pid, backend_start, usename, name)
                   where r.pid = a.pid and r.usename = a.usename and r.name = a.application_name
                     and abs(extract(epoch from a.backend_start)::float8 - r.backend_start) < 0.001)
          or (%(strangers)s and a.usename = any (%(roles)s::text[])
              and (cardinality(%(patterns)s::text[]) = 0 or a.application_name ~ any (%(patterns)s::text[]))))
),
waiting as materialized (
  select l.pid,
         case l.locktype when 'relation' then 'table' else 'row' end as what,
         coalesce(extract(epoch from clock_timestamp() - l.waitstart)::float8, 0) as seconds
    from pg_locks l
   where not l.granted and l.pid is not null and l.locktype in ('relation', 'transactionid', 'tuple')
     and exists (select from migration)
),
edge as materialized (
  select w.pid as waiter, w.what, b.pid as blocker
    from waiting w cross join lateral unnest(pg_blocking_pids(w.pid)) as b (pid)
),
behind (root, waiter, what) as (
  select e.blocker, e.waiter, e.what from edge e where e.blocker in (select pid from migration)
  union
  select b.root, e.waiter, e.what from behind b join edge e on e.blocker = b.waiter and e.what = b.what
),
victim as (
  select b.root, array_agg(w.pid) as pids, array_agg(w.what) as whats, array_agg(w.seconds) as seconds
    from behind b join waiting w on w.pid = b.waiter
   where b.waiter not in (select pid from migration)
     and not exists (select from pg_stat_activity s
                      where s.pid = b.waiter
                        and (s.application_name like 'migration_guard/%%' or s.backend_type = 'autovacuum worker'))
   group by b.root
)
select m.pid, m.backend_start, m.query_start, m.usename::text as usename, m.application_name,
       coalesce(m.state, '') as state,
       coalesce(extract(epoch from clock_timestamp() - m.state_change)::float8, 0) as in_state,
       exists (select from pg_locks l where l.pid = m.pid and not l.granted and l.locktype = 'relation') as queued,
       array(select distinct l.relation
               from pg_locks l
              where l.pid = m.pid and l.locktype = 'relation' and l.relation >= 16384
                and l.database = (select d.oid from pg_database d where d.datname = current_database())) as relations,
       v.pids as waiter_pids, v.whats as waiter_whats, v.seconds as waiter_seconds,
       coalesce(f.what, '') as fence, coalesce(f.remaining, 0) as fence_left, coalesce(f.whole, 0) as fence_whole,
       migration_guard.let_finish(m.query) as gentle
  from migration m join victim v on v.root = m.pid
  left join lateral (
    -- Declared by its session; one that has run out is shown too, since people are to know why it did not help.
    select x.what,
           case when migration_guard.is_fenced(m.pid, m.backend_start)
                then extract(epoch from x.until - clock_timestamp())::float8 else 0 end as remaining,
           extract(epoch from x.until - x.since)::float8 as whole
      from migration_guard.fence x join migration_guard.run r using (run_id)
     where r.pid = m.pid and r.ended_at is null
       and coalesce(r.backend_start = m.backend_start, m.backend_start <= r.registered_at)
     order by x.until desc limit 1
  ) f on true
