-- Beat, orders, events and admissions in one statement, hence one transaction and one round trip; and the server's clock.
select migration_guard.guard_publish(
    %(guard_id)s, %(term)s, %(mode)s, %(epoch)s, %(orders)s::jsonb, %(lease)s, %(rests_for)s,
    %(events)s::jsonb, %(admitted)s::bigint[], %(barred)s::jsonb, %(report)s::jsonb, to_timestamp(%(not_after)s)),
    extract(epoch from clock_timestamp())::float8
