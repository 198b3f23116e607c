-- The audit trail as it grows, oldest first: what came after one event (at first: 0), the newest so many of it.
select event_id, at, kind, migration, run_id, phase, because, headline from (
    select event_id, extract(epoch from at)::float8 as at, kind, migration, run_id, phase, because,
           payload -> 'notice' ->> 'headline' as headline
      from migration_guard.event
     where event_id > %(since)s
     order by event_id desc
     limit %(most)s
) newest order by event_id
