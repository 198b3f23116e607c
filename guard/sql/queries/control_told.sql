-- Operators' orders that the last report names: what the guard before has told people of.
select o.told
  from migration_guard.report r, jsonb_array_elements(coalesce(r.report -> 'told_orders', '[]')) o (told)
 where jsonb_typeof(o.told) = 'object'
