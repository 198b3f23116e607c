-- Where a guard is about to lead: is this a primary, and is the schema there? Touches no table of ours.
select pg_is_in_recovery(), to_regclass('migration_guard.installation') is not null
