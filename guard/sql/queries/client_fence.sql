-- Begin a fence; for how many seconds it holds at most.
select extract(epoch from migration_guard.declare_fence(%s, %s, %s::interval) - clock_timestamp())::float8
from (select set_config('synchronous_commit', 'local', true)) as local_commit
