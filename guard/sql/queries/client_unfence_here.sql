-- The same inside the caller's own transaction: nothing is said about how that one commits.
select migration_guard.lift_fence(%s)
