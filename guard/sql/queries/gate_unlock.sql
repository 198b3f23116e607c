-- Gives the lock of a name back.
select pg_advisory_unlock(migration_guard.lock_key(%(name)s))
