-- Where a guard is about to lead: is this a primary, is the schema there, and which server on which timeline is it?
-- Touches no table of ours.
select pg_is_in_recovery(), to_regclass('migration_guard.installation') is not null,
       (select c.system_identifier from pg_control_system() c),
       case when not pg_is_in_recovery() then left(pg_walfile_name(pg_current_wal_lsn()), 8) end
