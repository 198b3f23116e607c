-- Ends one session, if it is still that session at that statement and still holds somebody up.
--
-- No row: it has moved on, or is fenced by now, and nothing was done. Without kinds of waiting nobody needs to wait (a run
-- that is ended).
-- The subquery in the select list makes the server look at who waits first and at the session last, so that as
-- little time as can be lies between looking and acting.
with recursive waiting as materialized (
  select l.pid,
         case l.locktype when 'relation' then 'table' else 'row' end as what,
         coalesce(extract(epoch from clock_timestamp() - l.waitstart)::float8, 0) as seconds
    from pg_locks l
   where not l.granted and l.pid is not null and l.locktype in ('relation', 'transactionid', 'tuple')
     and cardinality(%(whats)s::text[]) > 0
),
edge as materialized (
  select w.pid as waiter, w.what, b.pid as blocker
    from waiting w cross join lateral unnest(pg_blocking_pids(w.pid)) as b (pid)
   where w.what = any (%(whats)s::text[])
),
behind (waiter, what) as (
  select e.waiter, e.what from edge e where e.blocker = %(pid)s
  union
  select e.waiter, e.what from behind b join edge e on e.blocker = b.waiter and e.what = b.what
),
held_up as materialized (
  select count(*) as sessions
    from behind b join waiting w on w.pid = b.waiter
   where w.seconds >= %(waited)s::float8 and b.waiter <> %(pid)s
),
done as materialized (
  select (select pg_terminate_backend(a.pid)
            from pg_stat_activity a
           where a.pid = %(pid)s + 0 * h.sessions
             and a.backend_start = %(backend_start)s
             and a.query_start is not distinct from %(query_start)s
             and a.usename = %(usename)s
             and a.application_name = %(application_name)s
             and a.state = %(state)s
             and a.pid <> pg_backend_pid()
             and not migration_guard.is_fenced(a.pid, a.backend_start)) as hit
    from held_up h
   where h.sessions > 0 or cardinality(%(whats)s::text[]) = 0
)
select hit from done where hit
