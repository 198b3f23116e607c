-- The last recorded state of each run, but for those that are done and those that an operator has forgotten.
select s.state from (
    select distinct on (e.migration, e.run_id) e.migration, e.run_id, e.payload -> 'state' as state
    from migration_guard.event e where e.payload ? 'state'
    order by e.migration, e.run_id, e.event_id desc) s
where s.state ->> 'phase' <> 'done'
  and not exists (select from migration_guard.forgotten f where f.migration = s.migration and f.upto_run_id >= s.run_id)
order by s.run_id
