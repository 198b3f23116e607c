-- The fenced section is over; whether its fence still held.
select migration_guard.lift_fence(%s) from (select set_config('synchronous_commit', 'local', true)) as local_commit
