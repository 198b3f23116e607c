-- What operators ordered of one run while it lasted, also what was taken back since; oldest first. Mutes name rules, not runs.
select o.kind, o.owner, o.reason, extract(epoch from greatest(o.created_at, r.registered_at))::float8 as since,
       extract(epoch from u.until)::float8 as until
  from migration_guard.run r
  join migration_guard.operator_order o
    on o.migration in ('*', r.migration) and o.kind <> 'mute' and o.created_at <= coalesce(r.ended_at, clock_timestamp())
 cross join lateral (select case when x.at <= clock_timestamp() then x.at end as until
                       from (select least(o.withdrawn_at, o.expires_at, r.ended_at) as at) x) u
 where r.run_id = %(run_id)s and coalesce(least(o.withdrawn_at, o.expires_at) > r.registered_at, true)
 order by o.order_id
