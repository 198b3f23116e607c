-- What guards have done of late with migrations that nobody has forgotten since: what is allowed so often only, and told
-- so often only, is counted across a restart. The newest events alone: the trail is long, and has no index by time.
select e.event_id, e.kind, e.migration, extract(epoch from clock_timestamp() - e.at)::float8 as age, e.payload ? 'notice' as told
from (select * from migration_guard.event order by event_id desc limit 5000) e
where e.kind in ('cancelled', 'paused', 'warned') and e.at > clock_timestamp() - %(seconds)s * interval '1 s'
  and not exists (select from migration_guard.forgotten f
                   where f.migration = e.migration and f.upto_run_id >= coalesce(e.run_id, 0))
order by e.event_id
