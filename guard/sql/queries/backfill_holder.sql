-- Whose transaction has changed or locked a row: pg_locks shows its session to everybody. No row where several share the
-- row's lock, or where it is over by now.
select l.pid, a.usename, a.application_name
  from {table} t
  join pg_locks l on l.locktype = 'transactionid' and l.granted and l.transactionid = t.xmax
  join pg_stat_activity a on a.pid = l.pid
 where t.ctid = %s::text::tid
 limit 1
