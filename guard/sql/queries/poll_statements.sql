-- Statements of this database that have ended, and their time in seconds, but those of the guard's role; one row.
--
-- {schema} is that of the extension. The function reads no file of texts when it is called so. The times are summed as
-- numeric, since a sum of floats in another order may seem to go back.
select coalesce(sum(s.calls), 0)::bigint as calls,
       (coalesce(sum(s.total_exec_time::numeric), 0) / 1000)::float8 as seconds,
       current_setting('pg_stat_statements.track', true) as track,
       (select i.dealloc from {schema}.pg_stat_statements_info i) as dealloc,
       (select extract(epoch from i.stats_reset)::float8 from {schema}.pg_stat_statements_info i) as reset
  from {schema}.pg_stat_statements(false) s
 where s.toplevel
   and s.userid <> (select r.oid from pg_roles r where r.rolname = current_user)
   and s.dbid = (select d.oid from pg_database d where d.datname = current_database())
