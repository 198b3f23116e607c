-- An operator's order; its end, if any, is reckoned from the server's clock.
insert into migration_guard.operator_order (kind, migration, rule, owner, reason, expires_at)
values (%(kind)s, %(migration)s, %(rule)s, %(owner)s, %(reason)s,
        clock_timestamp() + %(seconds)s::float8 * interval '1 s')
returning order_id, extract(epoch from expires_at)::float8
