-- Operators' orders that the last report names: what the guard before has told people of.
select o.told
  from migration_guard.report r,
       jsonb_path_query(r.report, 'lax $.told_orders[*] ? (@.type() == "object")') o (told)
