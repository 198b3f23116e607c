-- One installation at a time: two that replace the same function would fail with "tuple concurrently updated".
select pg_advisory_xact_lock(hashtextextended('migration_guard.install', 0))
