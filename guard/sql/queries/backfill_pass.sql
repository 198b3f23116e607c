-- Begin a pass over the table, up to this key.
select migration_guard.pass_backfill(%s, %s)
