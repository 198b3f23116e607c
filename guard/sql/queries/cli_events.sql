-- The audit trail of one run, oldest first; the newest so many of it.
select kind, phase, because, at, headline, checks, told, baselines from (
    select event_id, kind, phase, because, extract(epoch from at)::float8 as at,
           payload -> 'notice' ->> 'headline' as headline, payload -> 'checks' as checks,
           coalesce(payload -> 'notice' -> 'fields', '{}') as told, payload -> 'state' -> 'baselines' as baselines
      from migration_guard.event
     where migration = %(migration)s and run_id = %(run_id)s
     order by event_id desc
     limit 10000
) newest order by event_id
