-- Statements of this database that have ended, and their time in seconds, but those of the guard's role: one row for all
-- (id null), and one for each of the asked ids that has an entry.
--
-- {schema} is that of the extension. The function reads no file of texts when it is called so. The times are summed as
-- numeric, since a sum of floats in another order may seem to go back. Squares: the sum of each statement's time squared,
-- which mean and standard deviation of an entry tell.
select e.id,
       coalesce(sum(e.calls), 0)::bigint as calls,
       (coalesce(sum(e.time::numeric), 0) / 1e3)::float8 as seconds,
       case when %(squares)s::bool then
         (coalesce(sum(e.calls * (e.mean::numeric * e.mean::numeric + e.deviation::numeric * e.deviation::numeric)), 0)
          / 1e6)::float8
       end as squares,
       current_setting('pg_stat_statements.track', true) as track,
       (select i.dealloc from {schema}.pg_stat_statements_info i) as dealloc,
       (select extract(epoch from i.stats_reset)::float8 from {schema}.pg_stat_statements_info i) as reset
  from (select case when s.queryid = any (%(ids)s::bigint[]) then s.queryid end as id, s.calls,
               s.total_exec_time as time, s.mean_exec_time as mean, s.stddev_exec_time as deviation
          from {schema}.pg_stat_statements(false) s
         where s.toplevel
           and s.userid <> (select r.oid from pg_roles r where r.rolname = current_user)
           and s.dbid = (select d.oid from pg_database d where d.datname = current_database())) e
 group by grouping sets ((), (e.id))
having grouping(e.id) = 1 or e.id is not null
