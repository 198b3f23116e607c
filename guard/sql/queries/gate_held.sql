-- Which of the names this session holds the lock of, as the server knows it.
select n.name
  from unnest(%(names)s::text[]) as n (name)
 where exists (select
                 from pg_locks l
                where l.pid = pg_backend_pid() and l.granted and l.locktype = 'advisory' and l.objsubid = 1
                  and l.mode = 'ExclusiveLock'
                  and (l.classid::bigint << 32) | l.objid::bigint = migration_guard.lock_key(n.name))
