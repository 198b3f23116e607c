-- In which schema the extension pg_stat_statements is; no row where this database has none.
select n.nspname
  from pg_extension e
  join pg_namespace n on n.oid = e.extnamespace
 where e.extname = 'pg_stat_statements'
