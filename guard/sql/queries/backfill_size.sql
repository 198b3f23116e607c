-- Bytes of a table that a plan reads whole.
select pg_relation_size(to_regclass(format('%%I.%%I', %s::text, %s::text)))
