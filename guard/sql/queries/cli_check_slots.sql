-- The names of all replication slots.
select slot_name::text from pg_replication_slots order by slot_name
