-- The guard's word, how old it is by the server's clock, whether a session leads, and the last report. One row; nulls where
-- there is no lease.
select pg_is_in_recovery() as standby, extract(epoch from clock_timestamp())::float8 as now_wall,
       l.guard_id, l.term, l.epoch, l.beat, l.mode,
       extract(epoch from clock_timestamp() - l.beat_at)::float8 as beat_age,
       extract(epoch from l.lease_until - clock_timestamp())::float8 as remaining,
       p.report, extract(epoch from clock_timestamp() - p.at)::float8 as report_age,
       (select guard_id from migration_guard.leader) as leader,
       exists (select from pg_locks k
               where k.locktype = 'advisory' and k.objsubid = 1 and k.granted
                 and k.database = (select oid from pg_database where datname = current_database())
                 and ((k.classid::bigint << 32) | k.objid::bigint) = migration_guard.leader_key()) as led
  from (select) as always
  left join migration_guard.lease l on true
  left join migration_guard.report p on true
