-- What the guard itself has ended of this migration since a moment, in its words; NULL where nothing.
select string_agg(e.because, '; ' order by e.event_id)
  from migration_guard.event e
 where e.migration = %s and e.kind in ('cancelled', 'stopped') and e.at >= %s
