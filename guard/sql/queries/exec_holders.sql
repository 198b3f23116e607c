-- Who holds a lock on these tables, each with its transaction: a lock of any kind is in the way of a new definition.
select l.virtualtransaction as transaction, coalesce(l.pid, 0) as pid, l.relation::regclass::text as "table",
       coalesce(a.usename::text, '') as usename, coalesce(a.application_name, '') as application_name,
       coalesce(a.state, '') as state, coalesce(p.gid, '') as prepared
  from pg_locks l
  left join pg_stat_activity a on a.pid = l.pid
  left join pg_prepared_xacts p on l.pid is null and p.transaction::text = split_part(l.virtualtransaction, '/', 2)
 where l.locktype = 'relation' and l.granted and l.relation = any (%s::oid[])
   and l.database = (select d.oid from pg_database d where d.datname = current_database())
   and l.pid is distinct from pg_backend_pid()
 order by l.virtualtransaction
