-- Three group roles without login, each with no more than its part needs. Grant them to your own login roles.

do $$
declare
    r text;
begin
    foreach r in array array['migration_guard_guard', 'migration_guard_client', 'migration_guard_operator'] loop
        begin
            if not exists (select from pg_catalog.pg_roles where rolname = r) then
                execute pg_catalog.format('create role %I nologin', r);
            end if;
        exception when duplicate_object or unique_violation then
            null;  -- made by another session in this very moment
        end;
    end loop;
end $$;
