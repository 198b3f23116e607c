-- What an upgrade by hand must not touch: a schema of a newer version, and one that came with a copy of another database.
do $$
declare
    i record;
begin
    if pg_catalog.to_regclass('migration_guard.installation') is null then
        return;
    end if;
    for i in select * from migration_guard.installation loop
        if (i.version, i.protocol) > (2, 1) then
            raise exception 'schema migration_guard is of version %, newer than this script', i.version;
        elsif i.system_identifier <> (select c.system_identifier from pg_catalog.pg_control_system() c) or i.database_oid <>
              (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()) then
            raise exception 'schema migration_guard came here with a copy of database %', i.database_name
                using hint = 'migration-guard install --restamp empties it and gives it to this database.';
        end if;
    end loop;
end $$;
