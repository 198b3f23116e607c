-- Whether none of these transactions holds a lock any more.
select not exists (select from pg_locks l where l.virtualtransaction = any (%s::text[]) and l.granted)
