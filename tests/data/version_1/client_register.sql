-- Announce a run. The commit waits for no standby: this is said in the caller's idle session, in a transaction of its own.
select migration_guard.register(%s, on_guard_lost => %s, exclusive => %s, pooled => %s, protocol => %s)
from (select set_config('synchronous_commit', 'local', true)) as local_commit
