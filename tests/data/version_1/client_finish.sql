-- How the run ended.
select migration_guard.finish(%s::bigint, %s, %s)
from (select set_config('synchronous_commit', 'local', true)) as local_commit
