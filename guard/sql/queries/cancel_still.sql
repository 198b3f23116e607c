-- Whether a session still exists, and whether anybody still waits for it in one of the given ways.
select exists (select from pg_stat_activity a where a.pid = %(pid)s and a.backend_start = %(backend_start)s) as alive,
       exists (select
                 from pg_locks l
                where not l.granted and l.pid is not null and l.locktype in ('relation', 'transactionid', 'tuple')
                  and case l.locktype when 'relation' then 'table' else 'row' end = any (%(whats)s::text[])
                  and %(pid)s = any (pg_blocking_pids(l.pid))) as blocking
