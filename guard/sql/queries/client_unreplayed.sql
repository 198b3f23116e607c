-- How much WAL the slowest expected standby has still to replay, or why nobody can know.
select u.bytes, u.slowest, u.replayed, u.written, u.streaming, u.expected, u.because, u.pause_limit
from (select set_config('synchronous_commit', 'local', true)) as local_commit
cross join lateral migration_guard.unreplayed(%s::jsonb, %s) u
