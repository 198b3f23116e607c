-- Removes the DDL gate. The role migration_guard_gate stays, since other databases may use it.
set local lock_timeout = '3s';
drop event trigger if exists migration_guard_ddl_gate;
drop schema if exists migration_guard_gate cascade;
do $$ begin
    if pg_catalog.to_regnamespace('migration_guard') is not null and exists (
        select from pg_catalog.pg_roles where rolname = 'migration_guard_gate') then
        revoke all on schema migration_guard from migration_guard_gate;
        revoke all on all tables in schema migration_guard from migration_guard_gate;
    end if;
end $$;
