-- Who waits for a lock behind these processes, directly, and since when.
select a.pid, coalesce(a.usename::text, '?') as usename, coalesce(a.application_name, '') as application_name,
       coalesce(extract(epoch from clock_timestamp() - l.waitstart)::float8, 0) as waited, b.pid as behind
  from pg_locks l
  join pg_stat_activity a on a.pid = l.pid
 cross join lateral unnest(pg_blocking_pids(l.pid)) as b (pid)
 where not l.granted and b.pid = any (%(pids)s::int[])
 order by waited desc
