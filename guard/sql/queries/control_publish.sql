-- Beat, orders, events and admissions in one statement, hence one transaction and one round trip.
select migration_guard.guard_publish(
    %(guard_id)s, %(term)s, %(mode)s, %(epoch)s, %(orders)s::jsonb, %(lease)s, %(rests_for)s,
    %(events)s::jsonb, %(admitted)s::bigint[], %(barred)s::jsonb, %(report)s::jsonb)
