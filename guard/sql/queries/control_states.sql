-- The last recorded state of each run, but for those that an operator has forgotten and those that are done. One that
-- vanished without a word is done and looks open for ever: its state is wanted, lest it be met as if it were new.
select s.state from (
    select distinct on (e.migration, e.run_id) e.migration, e.run_id, e.payload -> 'state' as state
    from migration_guard.event e where e.payload ? 'state'
    order by e.migration, e.run_id, e.event_id desc) s
where (s.state ->> 'phase' <> 'done'
       or exists (select from migration_guard.run r where r.run_id = s.run_id and r.outcome is null))
  and not exists (select from migration_guard.forgotten f where f.migration = s.migration and f.upto_run_id >= s.run_id)
order by s.run_id
