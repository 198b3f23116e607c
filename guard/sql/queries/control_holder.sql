-- Who has the leader's lock: its session, and the guard that wrote from it last.
select l.pid, leader.guard_id, coalesce(host(a.client_addr), 'this machine') as host,
       leader.pid is not distinct from l.pid as wrote, leader.term, a.query_start as asked
from pg_locks l
left join pg_stat_activity a on a.pid = l.pid
left join migration_guard.leader on true
where l.locktype = 'advisory' and l.objsubid = 1 and l.granted
  and l.database = (select oid from pg_database where datname = current_database())
  and ((l.classid::bigint << 32) | l.objid::bigint) = migration_guard.leader_key()
