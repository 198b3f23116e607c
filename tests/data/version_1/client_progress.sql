-- How far the run is.
select migration_guard.progress(%s, %s, %s, %s) from (select set_config('synchronous_commit', 'local', true)) as local_commit
