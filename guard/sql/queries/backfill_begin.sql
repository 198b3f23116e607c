-- Take up the backfill of this run, or make it.
select migration_guard.begin_backfill(%s, %s, %s, %s, %s)
