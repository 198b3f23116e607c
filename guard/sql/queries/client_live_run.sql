-- The newest open run of a migration, for whoever waits on its behalf.
select max(run_id) from migration_guard.run where migration = %s and ended_at is null
