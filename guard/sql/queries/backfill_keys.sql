-- The columns of a table: their types, and whether each is a key by itself: never null, with a unique index of its own.
select a.attname, t.typname, a.attnotnull,
       coalesce(bool_or(i.indnkeyatts = 1), false) as alone,
       coalesce(bool_or(i.indisprimary), false) as primary_part,
       coalesce(bool_or(i.indisprimary and i.indnkeyatts = 1), false) as primary_alone
  from pg_attribute a
  join pg_type t on t.oid = a.atttypid
  left join pg_index i on i.indrelid = a.attrelid and i.indisunique and i.indisvalid and i.indpred is null
        and a.attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1])
 where a.attrelid = %s::bigint::oid and a.attnum > 0 and not a.attisdropped
 group by a.attnum, a.attname, t.typname, a.attnotnull
 order by a.attnum
