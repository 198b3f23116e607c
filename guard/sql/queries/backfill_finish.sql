-- Nothing is left to do.
select migration_guard.end_backfill(%s)
