-- Runs, the newest first, each with what it is told at this moment. An ended run is told nothing. `here`: its session is
-- there, or it has none of its own; a client that was killed could not write its end.
select r.run_id, r.migration, r.pid, r.usename::text as usename, r.application_name, r.rows_done, r.batches_done,
       r.note, extract(epoch from r.registered_at)::float8 as registered_wall,
       extract(epoch from r.last_seen)::float8 as last_seen_wall, r.acknowledged_epoch, r.outcome, r.outcome_detail,
       extract(epoch from r.ended_at)::float8 as ended_wall, r.pooled, r.on_guard_lost,
       a.run_id is not null as admitted, coalesce(a.mode = 'observing', false) as observed,
       r.ended_at is null and (r.pooled or exists (
           select from pg_stat_activity s where s.pid = r.pid and s.usename = r.usename)) as here, o.kind as told, o.because, o.source,
       b.because as barred_because, k.outcome as rollback_outcome, k.claimed_at is not null as rollback_claimed
  from migration_guard.run r
  left join migration_guard.admission a using (run_id)
  left join migration_guard.rollback k using (run_id)
  left join lateral (
      select x.because from migration_guard.barred x
       where x.run_id = r.run_id and not exists (
           select from migration_guard.forgotten f where f.migration = x.migration and f.upto_run_id >= x.run_id)
  ) b on true
  left join lateral (select * from migration_guard.read_order(r.migration, r.run_id)) o on r.ended_at is null
 where (%(migration)s::text is null or r.migration = %(migration)s)
   and (%(run_id)s::bigint is null or r.run_id = %(run_id)s) and (r.ended_at is null or not %(open)s)
 order by r.run_id desc
 limit %(most)s
