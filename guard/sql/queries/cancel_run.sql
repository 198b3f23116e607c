-- The session of a run as it is now, whatever it does; no row once it has ended.
select a.pid, a.backend_start, a.query_start, a.usename::text as usename, a.application_name,
       coalesce(a.state, '') as state,
       array(select distinct l.relation
               from pg_locks l
              where l.pid = a.pid and l.locktype = 'relation' and l.relation >= 16384
                and l.database = (select d.oid from pg_database d where d.datname = current_database())) as relations
  from pg_stat_activity a
 where a.pid = %(pid)s and abs(extract(epoch from a.backend_start)::float8 - %(backend_start)s::float8) < 0.001
