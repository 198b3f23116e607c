-- The run keeps to the orders of this epoch; also its sign of life.
select migration_guard.acknowledge(%s, %s) from (select set_config('synchronous_commit', 'local', true)) as local_commit
