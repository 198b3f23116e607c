-- How the run ended, inside the caller's own transaction: nothing is said about how that one commits.
select migration_guard.finish(%s::bigint, %s, %s)
