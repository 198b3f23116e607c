-- The last key of a batch that looks at so many keys (one more than `more`); no row where fewer are left in this pass.
select t.{key}::text from {table} t where {after} {key} <= %(end)s::text::{type} order by t.{key} offset %(more)s limit 1
