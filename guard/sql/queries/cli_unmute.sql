-- Listen to one rule again.
with ended as (
  update migration_guard.operator_order o set withdrawn_at = clock_timestamp(), withdrawn_by = %(owner)s
   where o.kind = 'mute' and o.migration = %(migration)s and o.rule = %(rule)s and o.withdrawn_at is null
     and (o.expires_at is null or o.expires_at > clock_timestamp())
  returning 1)
select count(*) from ended
