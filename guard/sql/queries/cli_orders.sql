-- What operators ordered and what still stands.
select order_id, kind, migration, rule, owner, reason, extract(epoch from created_at)::float8 as since_wall,
       extract(epoch from expires_at)::float8 as until_wall
  from migration_guard.operator_order
 where withdrawn_at is null and (expires_at is null or expires_at > clock_timestamp())
 order by order_id
