-- The batch up to this key is done.
select migration_guard.move_backfill(%s, %s, %s, %s, %s)
