-- Asks for the exclusive lock of a name and waits in the queue: by trying again and again it would starve.
select pg_advisory_lock(migration_guard.lock_key(%(name)s))
