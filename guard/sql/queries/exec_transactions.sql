-- The transactions that these sessions are in now.
select coalesce(array_agg(l.virtualtransaction), '{}')
  from pg_locks l
 where l.pid = any (%s::int[]) and l.locktype = 'virtualxid' and l.granted
